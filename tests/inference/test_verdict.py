"""The failure rule: what is a submission, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from inference.deadline import Deadline
from inference.errors import OutOfTimeError, RunError, TooManyFailuresError
from inference.outcome import Outcome
from inference.pixels.errors import ImageError
from inference.submission import TestImage
from inference.verdict import Rule, Verdict, judge

# A hundred breasts of two images each.
IMAGES = [
    TestImage(
        image_id=f"i{number}",
        patient_id="1",
        prediction_id=f"b{number // 2}",
        path=Path(f"{number}.dcm"),
        columns={},
    )
    for number in range(200)
]
STOP = Rule(most=0.01, by_breast=False, rerun=False, advice="Fix the files.")
FINISH = Rule(most=0.2, by_breast=False, rerun=False, advice="Fix the files.")
RERUN = Rule(most=0.2, by_breast=True, rerun=True, advice="Fix the files.")
MISSING = ImageError("missing", "no such file")


def outcome(failed: int = 0, skipped: int = 0, suspicious: int = 0, **changes: Any) -> Outcome:
    """Return an outcome whose first images failed, and whose last ones were left out."""
    done = range(failed, 200 - skipped)
    return Outcome(
        total=200,
        probabilities=dict.fromkeys(done, 0.5),
        failures=dict.fromkeys(range(failed), MISSING),
        skipped=list(range(200 - skipped, 200)),
        suspicious=dict.fromkeys(list(done)[:suspicious], ("its scan ends too soon",)),
        **changes,
    )


def judged(rule: Rule, fallbacks: int = 0, at: Any = "coarse", **about: Any) -> Verdict:
    """Return the verdict on an outcome."""
    deadline = Deadline(limit=100, at=at)
    return judge(IMAGES, outcome(**about), ["b"] * fallbacks, rule, deadline)


@pytest.mark.parametrize(
    ("rule", "about", "kind"),
    [
        (STOP, {}, None),
        (STOP, {"failed": 2}, None),
        (STOP, {"failed": 3}, TooManyFailuresError),
        (STOP, {"suspicious": 3}, TooManyFailuresError),
        (STOP, {"failed": 1, "suspicious": 2}, TooManyFailuresError),
        (STOP, {"skipped": 3}, OutOfTimeError),
        (STOP, {"skipped": 2}, None),
        (STOP, {"skipped": 2, "at": "stop"}, OutOfTimeError),
        (STOP, {"failed": 1, "skipped": 2}, OutOfTimeError),
        (FINISH, {"failed": 40}, None),
        (FINISH, {"failed": 41}, TooManyFailuresError),
        (FINISH, {"skipped": 41}, OutOfTimeError),
        (RERUN, {"failed": 100}, None),
        (RERUN, {"skipped": 100, "suspicious": 90}, None),
        (RERUN, {"failed": 40, "fallbacks": 20}, None),
        (RERUN, {"failed": 42, "fallbacks": 21}, TooManyFailuresError),
        (RERUN, {"skipped": 42, "fallbacks": 21}, OutOfTimeError),
        (RERUN, {"failed": 200, "fallbacks": 100}, TooManyFailuresError),
        (STOP, {"skipped": 1, "error": ValueError("x")}, ValueError),
        (FINISH, {"error": MemoryError()}, MemoryError),
        (RERUN, {"skipped": 40, "fallbacks": 20, "error": ValueError("x")}, None),
        (RERUN, {"skipped": 42, "fallbacks": 21, "error": ValueError("x")}, ValueError),
        (RERUN, {"skipped": 200, "fallbacks": 100, "error": RunError("x")}, RunError),
    ],
)
def test_what_is_a_submission(rule: Rule, about: dict[str, Any], kind: type | None) -> None:
    assert type(judged(rule, **about).reason) is (type(None) if kind is None else kind)


def test_the_state_says_how_far_the_run_came() -> None:
    assert judged(RERUN).state == "complete"
    assert judged(RERUN, failed=40, fallbacks=20).state == "complete"  # every image was tried
    assert judged(RERUN, skipped=1).state == "partial"
    assert judged(RERUN, error=MemoryError()).state == "partial"
    assert judged(RERUN, failed=200, fallbacks=100).state == "fallbacks only"


def test_says_what_happened_and_what_to_do() -> None:
    text = str(judged(STOP, failed=30, skipped=2).reason)
    assert text.startswith("30 of 200 images could not be read:\n  i0 (missing): no such file\n")
    assert "i19 (missing)" in text
    assert "i20" not in text
    assert "and 10 more" in text
    assert "The limit of 100 s is over with 2 of 200 images to do (i198, i199)" in text
    assert text.endswith("32 of 200 images failed: that is more than 1.0%. Fix the files.")
    late = str(judged(STOP, skipped=50, at="stop").reason)
    assert late.startswith("The limit of 100 s is over with 50 of 200 images to do (i150, ")
    assert "i169 …)" in late
    assert "--at-deadline coarse" in late


def test_a_model_without_a_number_is_broken_but_on_a_rerun() -> None:
    broken = outcome()
    del broken.probabilities[0]
    broken.failures[0] = ImageError("not-a-number", "The model predicts nan for the image i0.")
    verdict = judge(IMAGES, broken, [], FINISH, Deadline())
    assert "nan for the image i0. The model is broken" in str(verdict.reason)
    assert judge(IMAGES, broken, [], RERUN, Deadline()).reason is None
