"""What the runner's own report says of the hidden test: every image was read, or named."""

from collections.abc import Iterator

from bundler.competition.check import Check, Status, verdict
from bundler.competition.protocol import Distribution
from bundler.competition.run_report import Predictions, RunReport
from bundler.competition.screening.awkward import BROKEN
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.submission_csv import some
from inference.output import COMPLETE

# In the run's own warnings: what loses a submission, though the run went on.
GRAVE = ("has a GPU, but", "is the model broken?")


def check(report: RunReport, hidden: HiddenSet, digest: str | None) -> list[Check]:
    """Return whether each image was read or named as unreadable, and the run's own warnings.

    `digest` is the sha256 of the submission.csv that is there.
    """
    fine = (
        f"{len(hidden.sample)} from {hidden.source}, {len(hidden.planted)} awkward ones; those "
        "that cannot be read were reported, and their breasts predicted from other images"
    )
    checks = [verdict("images", list(_images(report, hidden, digest)), fine)]
    for warning in report.warnings:
        status: Status = "failed" if any(sign in warning for sign in GRAVE) else "unproven"
        checks.append(Check(name="warning of the run", status=status, message=warning))
    return checks


def distribution(predictions: Predictions) -> Distribution:
    """Return the histogram of the predictions."""
    return Distribution(
        counts=predictions.histogram,
        low=0.0,
        high=1.0,
        note=(
            f"{predictions.count} breasts; min {predictions.low:.3f}, mean {predictions.mean:.3f}, "
            f"max {predictions.high:.3f}; {predictions.positive_share:.1%} at 0.5 or above."
        ),
    )


def _images(report: RunReport, hidden: HiddenSet, digest: str | None) -> Iterator[str]:
    if report.state != COMPLETE:
        yield f"The run ended before every image was tried: its submission is {report.state}."
    if report.csv_sha256 is not None and report.csv_sha256 != digest:
        yield "submission.json is about another submission.csv than the one beside it."
    planted = {image.row["image_id"]: image for image in hidden.planted}
    for name, kind in report.failures.items():
        image = planted.get(name)
        if image is None or not image.may_fail:
            what = f" ({image.case})" if image else ""
            yield f"Image {name}{what} could not be read: {kind}."
    for name, image in planted.items():
        if image.case in BROKEN and name not in report.failures:
            yield f"The {image.case} file {name} was not reported as unreadable."
    if report.total != len(hidden.rows):
        yield f"{report.total} images were predicted, but test.csv has {len(hidden.rows)}."
    if report.fallbacks:
        yield f"Breasts got a fallback although they have images: {some(report.fallbacks)}"
