"""Fetching as a person sees it: the bar in a terminal, a line in a log, and what is kept."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError
from bundler.libs import packing
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
    libs = ["libs", "--requirements", str(folder / "wheelhouse.txt"), "--no-proof"]
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

    states = in_a_terminal(command).rstrip().split("\r")[1:]

    shares = [state.count("█") for state in states]
    assert len(set(shares)) >= 5  # it moved while the file came
    assert shares == sorted(shares)
    assert states[0].startswith("downloading 1 file █")
    assert f"{'█' * 24} {size} of {size} MB" in states[-1]
    assert in_a_terminal(command) == ""  # nothing changed, nothing fetched, nothing shown


def test_a_log_gets_one_line_and_no_bar(command: list[str], registry: Registry) -> None:
    size = f"{len(registry.files[LARGE]) / 1e6:.1f}"

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stderr == f"downloading 1 file, {size} MB\n"
    assert "libs " in run.stdout


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_no_progress_where_none_is_wanted(command: list[str], option: str) -> None:
    assert in_a_terminal([*command, option]) == ""


def test_bytes_that_came_twice_are_counted_once(command: list[str], registry: Registry) -> None:
    size = f"{len(registry.files[LARGE]) / 1e6:.1f}"
    registry.faults[LARGE] = "cut"  # half of it comes, then the connection ends; the rest resumes

    last = in_a_terminal(command).rstrip().split("\r")[-1]

    assert f"{size} of {size} MB" in last
    assert [asked for asked in registry.asked(f"/files/{LARGE} ") if "bytes=" in asked]


def test_file_that_changes_in_the_cache_is_noticed(libs: Libs, tmp_path: Path) -> None:
    made = libs("pydicom")
    (path,) = (tmp_path / "cache" / "files").rglob("pydicom*.whl")
    path.write_bytes(b"something else")

    with pytest.raises(BundlerError, match="was changed in the cache"):
        packing.check_hashes(made.built, made.lock)
