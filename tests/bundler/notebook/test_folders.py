"""The libs of a notebook: where they lie, and that they were made for the settings' targets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundler import bundle as writer
from bundler.errors import CheckError
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.notebook import folders, submission
from bundler.progress import SILENT
from bundler.publish import bundles
from bundler.publish.bundles import PublishOptions
from bundler.settings import Settings
from inference.boot import bundle
from inference.boot.bundle import Bundle
from inference.boot.manifest import Libs
from tests import parts

ROOT = Path(__file__).parents[3]
OCTOBER, JUNE = "kaggle-gpu-2026-10", "kaggle-gpu-2026-06"


def write(folder: Path, *made_for: Target) -> Bundle:
    """Write a libs bundle for some targets."""
    lines = [parts.libs(name=one.name, digest=one.digest, python=one.python) for one in made_for]
    writer.write(folder, {}, Libs(targets=tuple(one.targets[0] for one in lines)))
    return bundle.read(folder)


@pytest.mark.parametrize(
    ("made_for", "settings", "message"),
    [
        ((OCTOBER,), (OCTOBER,), None),
        ((OCTOBER, JUNE), (OCTOBER, JUNE), None),
        ((JUNE, OCTOBER), (OCTOBER, JUNE), None),
        (
            ("host",),
            (OCTOBER,),
            f"was made for host, and the settings ask for {OCTOBER}. Run `rsna-bundle libs`, "
            'or set `target = "host"`',
        ),
        ((OCTOBER,), (JUNE,), f'set `target = "{OCTOBER}"` in [tool.rsna-bundle]'),
        ((OCTOBER, JUNE), (OCTOBER,), f'set `target = ["{OCTOBER}", "{JUNE}"]`'),
        ((OCTOBER,), (OCTOBER, JUNE), f"ask for {OCTOBER} and {JUNE}"),
    ],
)
def test_a_bundle_for_other_targets_is_refused(
    made_for: tuple[str, ...], settings: tuple[str, ...], message: str | None, tmp_path: Path
) -> None:
    libs = write(tmp_path / "libs", *map(targets.load, made_for))
    wanted = Settings(root=tmp_path, target=settings)
    if message is None:
        folders.check(libs, wanted)
        return
    with pytest.raises(CheckError, match=re.escape(message)):
        folders.check(libs, wanted)


def test_a_target_that_has_changed_since_is_noticed(tmp_path: Path) -> None:
    """Of the same name, captured again: the image had moved."""
    path = tmp_path / "target.json"
    path.write_text(targets.load(OCTOBER).text())
    libs = write(tmp_path / "libs", targets.read(path))
    settings = Settings(root=tmp_path, target=("target.json",))
    folders.check(libs, settings)
    path.write_text(path.read_text().replace('"python": "3.13.15"', '"python": "3.14.0"'))
    with pytest.raises(CheckError, match=f"stale: the Python.* of the target {OCTOBER} have"):
        folders.check(libs, settings)


def test_those_for_host_have_a_folder_of_their_own(tmp_path: Path) -> None:
    assert folders.new_libs(tmp_path, ("host",)) == tmp_path / "libs-host"
    assert folders.new_libs(tmp_path, (OCTOBER,)) == tmp_path / "libs"
    host, kaggle = targets.host(), targets.load(OCTOBER)
    write(tmp_path / "libs", kaggle)
    assert folders.folder(tmp_path, "libs", ("host",)) == tmp_path / "libs"  # built with --out
    write(tmp_path / "libs-host", host)
    assert folders.folder(tmp_path, "libs", ("host",)) == tmp_path / "libs-host"
    assert folders.folder(tmp_path, "libs", (OCTOBER,)) == tmp_path / "libs"
    assert folders.folder(tmp_path, "code", ("host",)) == tmp_path / "code"


def test_the_command_leaves_the_bundle_for_kaggle_alone(tmp_path: Path) -> None:
    """`rsna-bundle libs --target host`, as one types it, in a repository that submits to Kaggle."""
    before = write(tmp_path / "dist" / "libs", targets.load(OCTOBER))
    (tmp_path / "wheelhouse.txt").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text("[tool.rsna-bundle]\n")
    subprocess.run(
        [sys.executable, "-m", "bundler.cli", "libs", "--target", "host", "--no-install-test"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "RSNA_BUNDLE_CACHE": str(tmp_path / "c"),
        },
        check=True,
        capture_output=True,
    )
    assert bundle.verify(tmp_path / "dist" / "libs").id == before.id
    made = bundle.verify(tmp_path / "dist" / "libs-host")
    assert [one.name for one in made.libs.targets] == ["host"]
    assert not (tmp_path / "wheelhouse.lock").exists()


def test_notebook_and_publish_refuse_before_anything_is_written_or_sent(tmp_path: Path) -> None:
    """Without credentials or a network: it is refused before Kaggle is asked for anything."""
    write(tmp_path / "dist" / "libs", targets.host())
    settings = Settings(root=tmp_path)
    with pytest.raises(CheckError, match="was made for host"):
        submission.write_for(settings, settings.dist)
    assert not (settings.dist / "notebook").exists()
    with pytest.raises(CheckError, match="was made for host"):
        bundles.publish(settings, settings.dist, PublishOptions(kinds=("libs",)), SILENT)
    with pytest.raises(CheckError, match="was made for host"):
        bundles.publish_folder(settings, settings.dist / "libs", SILENT)
