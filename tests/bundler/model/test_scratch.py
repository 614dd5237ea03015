"""A disk that is full, a folder that cannot be written, and what a kill leaves behind."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler import bundle
from bundler.errors import BundlerError
from bundler.model import export, scratch
from tests.bundler.model.checkpoints import options, save


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up_is_named(temporary: Path) -> None:
    """The system refuses to write on: here by a limit of this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        message = f"folder {temporary} is full: .* TMPDIR"
        with pytest.raises(BundlerError, match=message), scratch.folder(100) as folder:
            (folder / "large").write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_too_little_room_is_said_before_anything_is_written(temporary: Path) -> None:
    message = r"needs about 1000000000\.0 GB in .* TMPDIR"
    with pytest.raises(BundlerError, match=message), scratch.folder(10**18):
        pytest.fail("it was made")


def test_what_a_kill_left_is_freed_by_the_next_run(temporary: Path) -> None:
    code = (
        "import os, signal\nfrom bundler.model import scratch\n"
        "with scratch.folder(1) as folder:\n"
        "    (folder / 'model.onnx').write_bytes(bytes(1000))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=False)
    assert done.returncode == -9
    assert len(list(temporary.iterdir())) == 1
    with scratch.folder(1) as folder:
        assert [path.name for path in temporary.iterdir()] == [folder.name]


@pytest.mark.parametrize("out", ["/proc/none/bundle", "/sys/bundle"])
def test_an_output_that_cannot_be_written_is_noticed_before_the_export(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("the export began")

    monkeypatch.setattr(export, "group", forbidden)
    with pytest.raises(BundlerError, match=r"takes no new files .* --out"):
        export.build(options(save(tmp_path / "a.pt")), Path(out))


def test_a_folder_that_can_be_written_stays_as_it_is(tmp_path: Path) -> None:
    bundle.check_writable(tmp_path / "new" / "bundle")
    assert list(tmp_path.iterdir()) == []
