"""What a rehearsal makes of the runner's own report."""

from dataclasses import replace
from pathlib import Path

import pytest

from bundler.competition.run_report import Predictions, RunReport
from bundler.competition.screening import report_checks
from bundler.competition.screening.hidden_test import HiddenSet

SPREAD = Predictions(
    count=2,
    low=0.1,
    mean=0.2,
    high=0.3,
    positive_share=0.0,
    histogram=(0, 1, 1, 0, 0, 0, 0, 0, 0, 0),
)
REPORT = RunReport(
    state="complete",
    csv_sha256="a" * 64,
    ids={},
    total=2,
    failures={},
    suspicious={},
    fallbacks=(),
    warnings=(),
    install_seconds=1.0,
    predictions=SPREAD,
)
HIDDEN = HiddenSet(
    folder=Path(), sample=({"image_id": "1"}, {"image_id": "2"}), planted=(), labels={}, source="x"
)


def problem(report: RunReport, digest: str | None = "a" * 64) -> str:
    """Return what the check of the images says; "" where it passed."""
    (check,) = report_checks.check(report, HIDDEN, digest)
    return "" if check.status == "passed" else check.message


def test_a_sound_report_passes() -> None:
    assert problem(REPORT) == ""
    assert problem(replace(REPORT, csv_sha256=None)) == ""  # an older runner's


@pytest.mark.parametrize("state", ["partial", "fallbacks only"])
def test_a_run_that_ended_early_is_no_proof(state: str) -> None:
    message = problem(replace(REPORT, state=state))
    assert f"ended before every image was tried: its submission is {state}" in message


@pytest.mark.parametrize("digest", ["b" * 64, None])
def test_a_report_of_another_submission_is_seen(digest: str | None) -> None:
    assert "is about another submission.csv" in problem(REPORT, digest)
