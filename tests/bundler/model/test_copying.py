"""Copying the files of a model: changed meanwhile, killed, two at once, on full disks."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.errors import BundlerError
from bundler.model import copying, tree
from inference.boot import bundle as bundles
from tests.bundler.model.model_trees import (
    Meddling,
    build,
    fill,
    nnunet,
)

# --- files that change meanwhile ---


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def _rewrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


def _add(path: Path) -> None:
    path.with_name("new.pt").touch()


@pytest.mark.parametrize("meddle", [_grow, _rewrite, _replace, Path.unlink, _add])
@pytest.mark.parametrize("name", ["a.pt", "z.pt"])  # before and after what is read first
def test_notices_a_file_that_changes_meanwhile(
    tmp_path: Path, meddle: Callable[[Path], None], name: str
) -> None:
    old = build(fill(tmp_path / "old.pt", 10), out=tmp_path / "model").bundle
    for part in ("a.pt", "m.pt", "z.pt"):
        fill(tmp_path / "m" / part, 3_000_000)
    progress = Meddling(lambda: meddle(tmp_path / "m" / name))
    with pytest.raises(BundlerError, match="changed while"):
        build(tmp_path / "m", out=tmp_path / "model", progress=progress)
    assert bundles.verify(tmp_path / "model").id == old.id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "m", "model", "old.pt"]


# --- killed, full, two at once ---

BUILD = """
import sys, time
from pathlib import Path
from bundler.errors import BundlerError
from tests.bundler.model.model_trees import Meddling, build
seconds = float(sys.argv[3])
waiting = Meddling(lambda: time.sleep(seconds))
try:
    made = build(Path(sys.argv[1]), out=Path(sys.argv[2]), progress=waiting)
    print(made.bundle.id)
except BundlerError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def _start(source: Path, place: Path, seconds: float, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(source), str(place), str(seconds)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **more)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that the test starts: none outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_a_kill_leaves_the_old_bundle_and_the_next_run_cleans_up(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    old = build(fill(tmp_path / "old.pt", 10), out=tmp_path / "dist" / "model").bundle
    source = nnunet(tmp_path)
    started.append(_start(source, tmp_path / "dist" / "model", 600))
    end = time.monotonic() + 60
    while not list((tmp_path / "dist").glob(".model-new-*/*")) and time.monotonic() < end:
        time.sleep(0.05)
    assert list((tmp_path / "dist").glob(".model-new-*/*"))
    started[0].send_signal(signal.SIGKILL)
    started[0].wait()
    assert bundles.verify(tmp_path / "dist" / "model").id == old.id
    assert list((tmp_path / "dist").glob(".model-new-*"))
    build(source, out=tmp_path / "dist" / "model")
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["model"]


def test_two_at_once_leave_one_whole_bundle(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    source = nnunet(tmp_path)
    for _ in range(2):
        started.append(_start(source, tmp_path / "dist" / "model", 0.5))
    outputs = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    ids = {output.strip() for output, _ in outputs}
    assert ids == {bundles.verify(tmp_path / "dist" / "model").id}
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["model"]


def test_a_full_disk_leaves_the_old_bundle(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    """Files of more than 100 kB cannot be written: as near to a full disk as a user may come."""
    old = build(fill(tmp_path / "old.pt", 10), out=tmp_path / "dist" / "model").bundle
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    started.append(_start(nnunet(tmp_path), tmp_path / "dist" / "model", 0, preexec_fn=limit))
    _, message = started[0].communicate(timeout=60)
    assert started[0].returncode == 3
    assert "cannot be written" in message
    assert "Free some space" in message
    assert bundles.verify(tmp_path / "dist" / "model").id == old.id
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["model"]


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_bundle(
    tmp_path: Path, small_disk: Path
) -> None:
    """A tar takes more than its files: nothing that was asked beforehand tells."""
    old = build(fill(tmp_path / "old.pt", 10), out=small_disk / "model").bundle
    for number in range(1000):
        fill(tmp_path / "m" / f"{number}.txt", 1)
    with pytest.raises(BundlerError, match=r"No space left on device.*Free some space"):
        build(tmp_path / "m", out=small_disk / "model")
    assert bundles.verify(small_disk / "model").id == old.id
    assert [path.name for path in small_disk.iterdir()] == ["model"]


def test_a_clone_takes_no_space_and_is_a_copy(tmp_path: Path) -> None:
    """Run by `pytest --basetemp` on btrfs or XFS."""
    weights = fill(tmp_path / "best.pth", 20_000_000)
    (file,) = tree.scan([weights]).files
    if not copying.can_clone(file, tmp_path):
        pytest.skip("the file system of the tests cannot clone files")
    os.sync()
    before = shutil.disk_usage(tmp_path).used
    built = build(weights, out=tmp_path / "model")
    os.sync()
    assert shutil.disk_usage(tmp_path).used - before < 2_000_000
    with weights.open("r+b") as stream:
        stream.write(b"another epoch")
    bundles.verify(built.bundle.folder)
