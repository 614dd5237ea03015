"""Progress in lines: a heartbeat in long silence, many threads, silence, durations."""

import io
import threading
import time
from collections.abc import Callable

import pytest

from bundler import progress


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
