"""Progress as it is seen: in a real terminal, in a pipe, and not at all."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from bundler import progress

# Each step waits long enough for a terminal to be drawn several times.
SCRIPT = """
import sys, time
from bundler import progress

shown = progress.to_stderr(quiet={quiet})
shown.step("Resolving [12] requirements")
time.sleep(0.5)
with shown.bar("Downloading 2 files", 4_000_000) as advance:
    advance(1_000_000)
    time.sleep(0.3)
    advance(3_000_000)
shown.warn("the lock is old")
with shown.bar("Reading", 3, "images") as advance:
    advance(3)
    time.sleep(0.3)
shown.step("Packing")
shown.note("nothing changed")
shown.close()
print("the result")
"""


def in_terminal(quiet: bool = False, **variables: str) -> tuple[str, str]:
    """Run the script with a terminal as standard error; return standard error and output."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
    environment |= {"PYTHONWARNINGS": "error"} | variables
    command = [sys.executable, "-c", SCRIPT.format(quiet=quiet)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal's other side is closed
                break
            if not part:
                break
            shown += part
        assert child.stdout
        result = child.stdout.read()
    os.close(ours)
    assert child.returncode == 0, shown.decode()
    return shown.decode(), result.decode()


def test_terminal_shows_clock_and_bars_and_leaves_a_line_for_each_step() -> None:
    shown, result = in_terminal()
    assert result == "the result\n"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)  # colours are the next test's
    assert re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] .*Resolving \[12\] requirements.*0:00:00", shown)
    assert re.search(r"1\.0/4\.0 MB", shown)
    assert re.search(r"Reading \(images\).*3/3", shown)
    assert re.search(r"Resolving \[12\] requirements \(\d+\.\d s\)\r\n", shown)
    assert re.search(r"Packing \(0\.\d s\)\r\n", shown)
    assert "nothing changed" in shown
    # The cursor is hidden while something is drawn, and shown again at the end.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_colour_is_left_out_where_the_user_wants_none() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9][;m]")
    assert colour.search(in_terminal()[0])
    assert not colour.search(in_terminal(NO_COLOR="1")[0])


def test_dumb_terminal_gets_plain_lines() -> None:
    shown, _ = in_terminal(TERM="dumb")
    assert "\x1b" not in shown
    assert "Resolving [12] requirements\r\n" in shown


def test_quiet_says_nothing_even_in_a_terminal() -> None:
    assert in_terminal(quiet=True) == ("", "the result\n")


def test_pipe_gets_plain_lines_in_order() -> None:
    command = [sys.executable, "-c", SCRIPT.format(quiet=False)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "the result\n"
    assert result.stderr.splitlines() == [
        "Resolving [12] requirements",
        "Downloading 2 files (4.0 MB)",
        "warning: the lock is old",
        "Reading (3 images)",
        "Packing",
        "nothing changed",
    ]


def test_pipe_needs_no_library_that_draws() -> None:
    code = SCRIPT.format(quiet=False) + "\nassert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is true, at most a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.005)


def test_long_silent_work_shows_in_a_pipe_that_it_lives() -> None:
    stream = io.StringIO()
    shown = progress.LineProgress(stream, heartbeat=0.01)
    shown.step("Installing")
    wait_for(lambda: "Installing: 0." in stream.getvalue())
    with shown.bar("Sending libs", 5_000_000) as advance:
        advance(2_000_000)
        wait_for(lambda: "Sending libs: 2.0 MB of 5.0 MB, 0." in stream.getvalue())
    shown.close()
    before = stream.getvalue()
    assert "so far" in before
    assert not shown._thread
    shown.close()  # twice is once
    assert stream.getvalue() == before


@pytest.mark.parametrize("threads", [8])
def test_many_threads_advance_one_bar(threads: int) -> None:
    stream = io.StringIO()
    shown = progress.LineProgress(stream, heartbeat=0.01)
    with shown.bar("Hashing", threads * 1000, "files") as advance:
        workers = [
            threading.Thread(target=lambda: [advance(1) for _ in range(1000)])
            for _ in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        wait_for(lambda: "Hashing: 8000 files of 8000 files" in stream.getvalue())
    shown.close()


def test_reader_that_has_gone_away_ends_no_work() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-c", SCRIPT.format(quiet=False)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    assert result.stdout == b"the result\n"


def test_silent_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress.SILENT.step("a")
    progress.SILENT.note("b")
    progress.SILENT.warn("c")
    with progress.SILENT.bar("d", 4) as advance:
        advance(4)
    progress.SILENT.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_read_as_people_write_them(seconds: float, text: str) -> None:
    assert progress.elapsed(seconds) == text
