"""Fetching as a person sees it: the bar in a terminal, lines in a log, and what is kept."""

import contextlib
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError
from bundler.libs import packing
from bundler.progress import Advance, Progress
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
ROOT = Path(__file__).parents[4]
LARGE = "large-1.0-py3-none-any.whl"


@pytest.fixture
def command(registry: Registry, folder: Path) -> list[str]:
    """Return the command line of a build whose one wheel, of 3 MB, comes slowly."""
    registry.add(wheel("large", "1.0", body="x = '" + "0123456789" * 300_000 + "'\n"))
    registry.faults[LARGE] = "slow"
    (folder / "wheelhouse.txt").write_text("large\n")
    (folder / "image.json").write_text(make_target().text())
    libs = ["libs", "--requirements", str(folder / "wheelhouse.txt"), "--no-install-test"]
    place = ["--target", str(folder / "image.json"), "--out", str(folder / "dist" / "libs")]
    return [sys.executable, "-m", "bundler.cli", *libs, *place]


def in_a_terminal(command: list[str]) -> str:
    """Run a command whose standard error is a terminal, and return what the terminal was sent."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs) as run:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 1 << 16):
                seen += piece
        except OSError:  # EIO: the other end is closed, which is how a terminal's ends on Linux
            pass
        os.close(ours)
    assert run.returncode == 0, seen.decode()
    return seen.decode()


def test_a_terminal_sees_the_bar_grow(command: list[str], registry: Registry) -> None:
    size = f"{len(registry.files[LARGE]) / 1e6:.1f}"

    shown = re.findall(rf"Downloading 1 file.*?(\d\.\d)/{size} MB", in_a_terminal(command))

    assert len(set(shown)) >= 2  # it moved while the file came
    assert shown == sorted(shown)
    assert in_a_terminal(command) == ""  # nothing changed, nothing fetched, nothing shown


def test_a_log_gets_a_line_for_each_step_and_no_bar(command: list[str], registry: Registry) -> None:
    size = f"{len(registry.files[LARGE]) / 1e6:.1f}"

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stderr.splitlines() == [
        "Resolving wheelhouse.txt for image",
        "Fetching the wheels",
        f"Downloading 1 file ({size} MB)",
        "Checking the wheels",
        "Packing the bundle",
    ]
    assert "libs " in run.stdout


def test_no_progress_where_none_is_wanted(command: list[str]) -> None:
    assert in_a_terminal([*command, "--quiet"]) == ""


def test_progress_stays_off_what_a_script_reads(command: list[str]) -> None:
    run = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(run.stdout)["packages"] == {"large": "1.0"}
    assert "Downloading 1 file" in run.stderr


class Counted(Progress):
    """Adds up what each bar was told."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int | None]] = []
        self.count = 0

    @contextlib.contextmanager
    def bar(self, text: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        self.bars.append((text, total))
        yield self._advance

    def _advance(self, count: int) -> None:
        self.count += count


@pytest.mark.parametrize("fault", ["cut", "busy"])
def test_bytes_that_came_twice_are_counted_once(libs: Libs, registry: Registry, fault: str) -> None:
    registry.add(wheel("large", "1.0", body="x = '" + "0123456789" * 300_000 + "'\n"))
    registry.faults[LARGE] = fault  # cut: half of it comes, the connection ends, the rest resumes
    progress = Counted()

    libs("large", progress=progress)

    size = len(registry.files[LARGE])
    assert progress.bars == [("Downloading 1 file", size)]
    assert progress.count == size
    resumed = [asked for asked in registry.asked(f"/files/{LARGE} ") if "bytes=" in asked]
    assert bool(resumed) == (fault == "cut")


def test_wrong_left_over_moves_the_bar_back(libs: Libs, registry: Registry, tmp_path: Path) -> None:
    registry.add(wheel("large", "1.0", body="x = '" + "0123456789" * 300_000 + "'\n"))
    size = len(registry.files[LARGE])
    digest = hashlib.sha256(registry.files[LARGE]).hexdigest()
    partial = tmp_path / "cache" / "files" / digest[:2] / digest / f"{LARGE}.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"?" * (size // 2))
    progress = Counted()

    libs("large", progress=progress)

    assert progress.count == size


def test_file_that_changes_in_the_cache_is_noticed(libs: Libs, tmp_path: Path) -> None:
    made = libs("pydicom")
    (path,) = (tmp_path / "cache" / "files").rglob("pydicom*.whl")
    path.write_bytes(b"something else")

    with pytest.raises(BundlerError, match="was changed in the cache"):
        packing.check_hashes(made.built, made.lock)
