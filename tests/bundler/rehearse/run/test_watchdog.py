"""The watchdog: memory and time are measured, and what goes beyond is ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundler.rehearse.run import watchdog

NEVER = Path("/nonexistent")
HOLD = "import sys, time; held = b'x' * {size}; print('held', flush=True); time.sleep(60)"


def start(size: int) -> "subprocess.Popen[bytes]":
    """Start a shell whose child holds so many bytes of memory."""
    child = [sys.executable, "-I", "-c", HOLD.format(size=size)]
    starter = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    return subprocess.Popen([sys.executable, "-I", "-c", starter, *child])


def test_ends_the_largest_process_where_memory_is_over() -> None:
    with start(150_000_000) as process:
        usage = watchdog.watch(process, memory=120_000_000, seconds=60, until=NEVER, grace=1)
    assert usage.killed == "memory"
    assert usage.peak_bytes > 120_000_000
    assert process.returncode != 0


def test_ends_what_takes_too_long() -> None:
    with start(1000) as process:
        usage = watchdog.watch(process, memory=10**10, seconds=1.0, until=NEVER, grace=1)
    assert usage.killed == "time"
    assert 1.0 <= usage.seconds < 30


def test_measures_what_keeps_within_bounds(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", "import time; held = b'x' * 80_000_000; time.sleep(1)"]
    with subprocess.Popen(["/bin/sh", "-c", '"$@"; exit 7', "sh", *command]) as process:
        usage = watchdog.watch(process, memory=10**10, seconds=60, until=NEVER, grace=1)
    assert usage.killed is None
    assert process.returncode == 7
    assert usage.peak_bytes == pytest.approx(95_000_000, rel=0.3)
    assert usage.samples
