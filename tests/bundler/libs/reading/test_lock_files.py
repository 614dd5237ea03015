"""Locks of other tools as input: real uv.lock and pylock.toml, made by uv and pip themselves."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import CheckError, InputError
from bundler.libs.reading import choose
from bundler.libs.resolve import uv
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry, serving

Libs = Callable[..., Any]
PROJECT = """
[project]
name = "ours"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["albumentations", "inner"]
[project.optional-dependencies]
dicom = ["pydicom[pixels]"]
[dependency-groups]
submit = ["colorama"]
[tool.uv]
package = false
[tool.uv.sources]
inner = { path = "inner" }
"""


def run_uv(folder: Path, registry: Registry, *arguments: str) -> None:
    """Run the real uv against an index on loopback."""
    environment = {**os.environ, "UV_DEFAULT_INDEX": f"{registry.url}/simple"}
    command = [uv.executable(), *arguments, "--quiet", f"--python={sys.executable}"]
    subprocess.run(command, cwd=folder, env=environment, check=True)


@pytest.fixture
def project(folder: Path, registry: Registry) -> Path:
    """A project that uv has locked, with a package of its own in a folder."""
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "inner").mkdir()
    (folder / "inner" / "pyproject.toml").write_text(
        '[project]\nname = "inner"\nversion = "0.5"\n[build-system]\nrequires = []\n'
        'build-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "inner" / "backend.py").write_bytes(backend("inner", "0.5"))
    run_uv(folder, registry, "lock")
    # What the index publishes later is none of what was locked.
    registry.add(wheel("albumentations", "9.9", ["numpy>=1.24", "tqdm"]))
    return folder


def locked(folder: Path, name: str, **target: Any) -> dict[str, str]:
    """Return the lines that a lock comes to, and check that hashes are kept."""
    machine = make_target(**target)
    requirements = choose.read(folder / name, machine).on(machine.environment)
    assert requirements.locked is not None
    names = {need.name for need in requirements.locked}
    assert requirements.hashes.keys() | requirements.sources.direct.keys() == names
    assert all(requirements.hashes.values())
    return {need.name: str(need.specifier) for need in requirements.locked}


def test_uv_lock_is_read_by_uv(project: Path) -> None:
    own = {"albumentations": "==2.0.8", "numpy": "==2.3.0", "tqdm": "==4.0", "inner": ""}

    assert locked(project, "uv.lock") == own
    dicom = {"pydicom": "==3.0.2", "pylibjpeg": "==2.0"}
    assert locked(project, "uv.lock[dicom]") == own | dicom
    assert locked(project, "uv.lock:submit") == {"colorama": "==0.4.6"}
    assert locked(project, "uv.lock", system="win32") == own | {"colorama": "==0.4.6"}
    for selected, message in (("[gpu]", "gpu"), (":gpu", "gpu")):
        with pytest.raises(InputError, match=message):
            locked(project, f"uv.lock{selected}")
    with pytest.raises(InputError, match="Make it with `uv lock`"):
        locked(project / "inner", "uv.lock")
    (project / "uv.lock").write_text("version = 99\n")
    with pytest.raises(InputError, match=r"uv cannot export .*uv\.lock: "):
        locked(project, "uv.lock")


def test_pylock_of_uv_is_read(project: Path, registry: Registry) -> None:
    run_uv(
        project, registry, "export", "--format=pylock.toml", "--output-file=pylock.toml", "--frozen"
    )

    assert locked(project, "pylock.toml")["numpy"] == "==2.3.0"
    with pytest.raises(InputError, match="has no extra 'gpu'; it has none"):
        locked(project, "pylock.toml[gpu]")


def test_pylock_of_pip_is_read(folder: Path, registry: Registry) -> None:
    command = [sys.executable, "-m", "pip", "lock", "albumentations", "--output", "pylock.x.toml"]
    index = [f"--index-url={registry.url}/simple", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*command, *index, "--no-cache-dir"], cwd=folder, check=True)

    this = f"{sys.version_info[0]}.{sys.version_info[1]}.1"

    assert locked(folder, "pylock.x.toml", python=this)["albumentations"] == "==2.0.8"
    with pytest.raises(InputError, match=r"does not fit image \(Python 3\.10\.1\)"):
        locked(folder, "pylock.x.toml", python="3.10.1")  # pip locks for the machine it runs on


def test_lock_becomes_a_bundle_of_its_versions(
    libs: Libs, registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_lock = (project / "uv.lock").read_bytes()

    made = libs(requirements=project / "uv.lock")

    assert {pin.name: pin.version for pin in made.lock.pins} == {
        "albumentations": "2.0.8",
        "inner": "0.5",
        "numpy": "2.3.0",
        "tqdm": "4.0",
    }
    assert {pin.name: pin.origin for pin in made.lock.pins}["inner"] == "./inner"
    assert made.targets[0].path == project / "wheelhouse.lock"
    assert (project / "uv.lock").read_bytes() == uv_lock
    assert libs(requirements=project / "uv.lock", check=True)
    # A file that is none of those that uv saw is not taken, whatever its version.
    registry.files["tqdm-4.0-py3-none-any.whl"] = wheel("tqdm", "4.0", body="stolen = True\n")[1]
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(project / "cold"))
    with pytest.raises(InputError, match="tqdm"):
        libs(requirements=project / "uv.lock", upgrade=())
    # And uv's lock is an input: a new one makes ours stale.
    registry.add(wheel("tqdm", "4.0"))
    run_uv(project, registry, "lock", "--upgrade", "--no-cache")
    with pytest.raises(CheckError, match="is stale"):
        libs(requirements=project / "uv.lock", check=True)


def backend(name: str, version: str) -> bytes:
    """Return a build backend of a project's own."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(sdist(name, version)[1])) as tar:
        member = tar.extractfile(f"{name}-{version}/backend.py")
        assert member is not None
        return member.read()


def test_image_decides_what_it_has(libs: Libs, registry: Registry, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(PROJECT.replace(', "inner"', "").split("[tool.uv.s")[0])
    run_uv(folder, registry, "lock")
    image = make_target(installed={"numpy": "2.1.3", "torch": "2.9"})

    made = libs(requirements=folder / "uv.lock", target=image)

    assert {pin.name for pin in made.lock.pins} == {"albumentations", "tqdm"}
    (note,) = made.lock.notes
    assert note == ("uv.lock has other versions than the image, which stays: numpy 2.3.0 → 2.1.3.")
    # Where a package does not accept the image's version, that is a conflict as ever.
    with pytest.raises(InputError, match=r"needs numpy>=1\.24; the image has numpy 1\.20"):
        libs(requirements=folder / "uv.lock", target=make_target(installed={"numpy": "1.20"}))
    whole = libs(requirements=folder / "uv.lock", target=image, delta=False)
    assert {pin.name: pin.version for pin in whole.lock.pins}["numpy"] == "2.3.0"


def test_what_only_the_image_needs_is_not_brought(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    # As torch does: the index's build needs gigabytes, which the image's does not.
    registry.add(wheel("torch", "2.15", ["gigabytes"]))
    registry.add(wheel("gigabytes", "1.0"))
    registry.add(wheel("nets", "1.0", ["torch", "tqdm"]))
    registry.add(wheel("nets", "2.0", ["torch", "tqdm"]))
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "ours"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["nets<2"]\n[tool.uv]\npackage = false\n'
    )
    run_uv(folder, registry, "lock")
    registry.add(wheel("nets", "1.9", ["torch"]))

    image = make_target(installed={"torch": "2.11+cu128"})
    made = libs(requirements=folder / "uv.lock", target=image)

    assert {pin.name: pin.version for pin in made.lock.pins} == {"nets": "1.0", "tqdm": "4.0"}


def test_index_of_a_lock_is_asked_with_this_machines_password(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as private:
        private.password = "me:s3cr3t-of-ours"
        private.add(wheel("secretive", "1.0", ["tqdm"]))
        monkeypatch.setenv("UV_INDEX_OWN_USERNAME", "me")
        monkeypatch.setenv("UV_INDEX_OWN_PASSWORD", "s3cr3t-of-ours")
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "ours"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
            'dependencies = ["secretive"]\n[tool.uv]\npackage = false\n'
            f'[[tool.uv.index]]\nname = "own"\nurl = "{private.url}/simple"\nexplicit = true\n'
            '[tool.uv.sources]\nsecretive = { index = "own" }\n'
        )
        run_uv(folder, registry, "lock")

        made = libs(requirements=folder / "uv.lock")

        pins = {pin.name: pin.origin for pin in made.lock.pins}
        assert pins == {"secretive": f"{private.url}/simple", "tqdm": f"{registry.url}/simple"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Cannot read"),
        ("lock-version = '9.0'\ncreated-by = 'x'\npackages = []\n", "Cannot read"),
        ("lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'x'\n", "Cannot read"),
        (
            "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'x'\nversion = '1'\n"
            "[[packages.wheels]]\nurl = 'https://one.example/x-1-py3-none-any.whl'\n"
            "[packages.wheels.hashes]\nmd5 = '00'\n",
            "x: none of its files has a sha256",
        ),
        (
            "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'x'\n[packages.vcs]\n"
            "type = 'hg'\nurl = 'https://one.example/x'\ncommit-id = '0'\n",
            "x: the version control system hg is not supported",
        ),
    ],
)
def test_lock_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pylock.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        choose.read(tmp_path / "pylock.toml", make_target())
    assert message in str(caught.value)
