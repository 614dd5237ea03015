"""The projection, and what follows from it."""

import time

import pytest

from inference import report
from inference.boot.fields import plain
from inference.console import Progress
from inference.deadline import Deadline
from inference.outcome import Outcome


def started(seconds_ago: float, limit: float | None, at: str = "stop") -> Deadline:
    """Return a deadline that began some seconds ago, with its first image one second later."""
    deadline = Deadline(limit=limit, at=at, start=time.monotonic() - seconds_ago)  # type: ignore[arg-type]
    deadline.begun = 1.0
    return deadline


def test_projects_from_the_images_so_far() -> None:
    deadline = started(101, None)
    assert deadline.rate(31) is None
    assert deadline.rate(200) == pytest.approx(2, rel=0.01)
    assert deadline.projected(200, 1000) == pytest.approx(101 + 400, rel=0.01)


def test_what_was_resumed_took_no_time() -> None:
    deadline = started(101, 1000, "coarse")
    deadline.resumed = 900
    assert deadline.rate(910) is None  # ten images say nothing
    assert deadline.rate(1000) == pytest.approx(1, rel=0.01)
    assert deadline.projected(1000, 2000) == pytest.approx(101 + 1000, rel=0.01)
    assert deadline.pace(1000, 2000) == "coarse"  # though 1000 in 100 s would be fast enough


def test_the_first_second_says_nothing() -> None:
    deadline = Deadline(start=time.monotonic() - 10)
    deadline.begin()
    assert deadline.rate(40_000) is None  # never 3,958,802 images/s
    progress = Progress(deadline)
    assert progress.line(Outcome(total=50_000, skipped=list(range(49_000)))) == "49000/50000 images"


def test_without_a_limit_all_is_full() -> None:
    assert started(1e6, None).pace(0, 100) == "full"


def test_stop_goes_on_until_time_is_over() -> None:
    assert started(101, 110).pace(100, 1000) == "full"
    assert started(101, 100).pace(100, 1000) == "over"


def test_coarse_begins_where_the_projection_is_late_and_ends_where_it_is_not() -> None:
    deadline = started(101, 1000, "coarse")
    assert deadline.pace(200, 1000) == "full"  # will end at about 501 s
    assert deadline.pace(100, 1000) == "coarse"  # at about 1001 s
    assert deadline.pace(400, 1000) == "full"  # 600 images at the full rate: about 701 s
    assert started(990, 1000, "coarse").pace(100, 1000) == "over"


def test_says_what_was_left_out() -> None:
    outcome = Outcome(total=10, coarse={1, 2, 3}, skipped=[7])
    described = report.describe_deadline(started(1, 10, "coarse"), outcome)
    assert plain(described) == {
        "limit_seconds": 10,
        "at_deadline": "coarse",
        "coarse_images": 3,
        "skipped_images": 1,
    }
    assert report.describe_deadline(Deadline(), outcome) is None
