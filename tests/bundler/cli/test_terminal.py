"""Progress as it is seen: in a real terminal, in a pipe, and not at all."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.cli import cli, reports
from bundler.errors import InputError
from tests.recorder import Recorder

# Each step waits long enough for a terminal to be drawn several times.
SCRIPT = """
import sys, time
from bundler.cli import reports

shown = reports.to_stderr(quiet={quiet})
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


def test_reader_that_has_gone_away_ends_no_work() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-c", SCRIPT.format(quiet=False)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    assert result.stdout == b"the result\n"


def test_an_error_does_not_leave_a_line_half_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Recorder()
    monkeypatch.setattr(reports, "to_stderr", lambda quiet: shown)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is in no git repository"):
        cli(["code"], standalone_mode=False)
    assert shown.closed  # before `main` prints the error
