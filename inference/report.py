"""submission.json: what was predicted, from what, how fast, and what went wrong."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.boot.card import OnnxModel
from inference.boot.prepare import Prepared
from inference.deadline import Deadline
from inference.outcome import Outcome
from inference.output import COMPLETE
from inference.pixels.gpu import count_gpus
from inference.predict import CUDA, Model
from inference.rehearsal import Rehearsal
from inference.submission import TestImage
from inference.verdict import Verdict
from inference.workers import peak_rss

NATURAL_POSITIVES = (0.002, 0.10)  # share of breasts called positive; about 2 % have a cancer
ENOUGH_BREASTS = 100  # fewer say nothing about a distribution
METRICS = ("pfbeta", "best_f1", "pr_auc", "roc_auc")  # of a checkpoint, shown where it has them


@dataclass(frozen=True, kw_only=True)
class Images:
    """How many images there were, in all and of each sort."""

    total: int
    by_transfer_syntax: Mapping[str, int]
    by_decoder: Mapping[str, int]
    by_site: Mapping[str, int]
    by_machine: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """How the predictions are spread; the bins of the histogram share [0, 1] equally."""

    count: int
    min: float
    mean: float
    max: float
    positive_share: float  # at 0.5 or above
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class DeadlineReport:
    """The time limit, and what it cost."""

    limit_seconds: float
    at_deadline: Literal["stop", "coarse"]
    coarse_images: int
    skipped_images: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """What submission.json holds.

    `state` is `complete`, `partial` (the run ended before every image was tried) or `fallbacks
    only`; `csv_sha256` is of the submission.csv that all this is about, None where there is none.
    """

    state: str
    csv_sha256: str | None
    error: str | None  # why the run is no submission, or ended early
    ids: Mapping[str, str]
    models: tuple[OnnxModel, ...]
    images: Images
    failures: Mapping[str, tuple[str, ...]]  # kind → image ids
    suspicious: Mapping[str, tuple[str, ...]]  # image id → why it may be damaged
    fallbacks: tuple[str, ...]  # breasts without a readable image
    resumed_images: int  # predicted by an earlier run that was killed
    skipped_images: int  # left out for want of time, or since the run ended early
    seconds: Mapping[str, float]  # by stage
    images_per_s: float
    peak_rss_bytes: int
    predictions: Distribution
    warnings: tuple[str, ...]
    providers: Mapping[str, tuple[str, ...]]  # by model
    deadline: DeadlineReport | None
    rehearsal: Rehearsal | None = None  # of a run that is not to be scored


def device_warnings(models: Sequence[Model]) -> list[str]:
    """Return a warning where the machine has a GPU that the models do not use."""
    on_cpu = [model.name for model in models if CUDA not in model.providers]
    if on_cpu and count_gpus():
        return [f"this machine has a GPU, but {', '.join(on_cpu)} runs on the CPU"]
    return []


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a report tells of: the same for all of a run's reports."""

    prepared: Prepared
    images: Sequence[TestImage]
    deadline: Deadline
    rehearsal: Rehearsal | None = None


def build(
    run: Run,
    models: Sequence[Model],
    outcome: Outcome,
    verdict: Verdict,
    predictions: Mapping[str, float],
    fallbacks: Sequence[str],
    csv_sha256: str | None,
) -> Report:
    """Return what the run did; `models` are those that were opened."""
    failures: dict[str, list[str]] = defaultdict(list)
    for key, error in sorted(outcome.failures.items()):
        failures[error.kind].append(run.images[key].image_id)
    seconds = {stage: round(value, 3) for stage, value in sorted(outcome.seconds.items())}
    ended_by = verdict.reason or outcome.error
    return Report(
        state=verdict.state,
        csv_sha256=csv_sha256,
        error=str(ended_by) or type(ended_by).__name__ if ended_by else None,
        ids=run.prepared.ids,
        models=run.prepared.require_model().model.models,
        images=Images(
            total=outcome.total,
            by_transfer_syntax=dict(sorted(outcome.transfer_syntaxes.items())),
            by_decoder=dict(sorted(outcome.decoders.items())),
            by_site=_count(run.images, "site_id"),
            by_machine=_count(run.images, "machine_id"),
        ),
        failures={kind: tuple(names) for kind, names in failures.items()},
        suspicious={
            run.images[key].image_id: signs for key, signs in sorted(outcome.suspicious.items())
        },
        fallbacks=tuple(fallbacks),
        resumed_images=outcome.resumed,
        skipped_images=len(outcome.skipped),
        seconds=seconds,
        images_per_s=round((outcome.seen - outcome.resumed) / max(seconds["total"], 1e-3), 3),
        peak_rss_bytes=peak_rss() + outcome.workers * outcome.peak_rss_bytes,
        predictions=distribution(list(predictions.values())),
        warnings=(
            *device_warnings(models),
            *outcome_warnings(outcome),
            *distribution_warnings(predictions),
        ),
        providers={model.name: tuple(model.providers) for model in models},
        deadline=describe_deadline(run.deadline, outcome),
        rehearsal=run.rehearsal,
    )


def describe_deadline(deadline: Deadline, outcome: Outcome) -> DeadlineReport | None:
    """Return what the time limit was and what it cost; None without a limit."""
    if deadline.limit is None:
        return None
    return DeadlineReport(
        limit_seconds=deadline.limit,
        at_deadline=deadline.at,
        coarse_images=len(outcome.coarse),
        skipped_images=len(outcome.skipped),
    )


def _count(images: Sequence[TestImage], column: str) -> dict[str, int]:
    return dict(Counter(image.columns.get(column, "") for image in images))


def outcome_warnings(outcome: Outcome) -> list[str]:
    """Return what is not as it should be about the images as a whole."""
    warnings = []
    if outcome.coarse:
        warnings.append(f"{len(outcome.coarse)} images were taken at the fastest settings")
    if outcome.skipped:
        cause = "since the run ended early" if outcome.error else "for want of time"
        warnings.append(f"{len(outcome.skipped)} images were left out {cause}")
    if outcome.suspicious:
        warnings.append(f"{len(outcome.suspicious)} images may be damaged")
    return warnings


def distribution(values: Sequence[float]) -> Distribution:
    """Return how values of [0, 1] are spread."""
    histogram = [0] * 10
    for value in values:
        histogram[min(int(value * 10), 9)] += 1
    return Distribution(
        count=len(values),
        min=min(values),
        mean=sum(values) / len(values),
        max=max(values),
        positive_share=sum(value >= 0.5 for value in values) / len(values),
        histogram=tuple(histogram),
    )


def distribution_warnings(predictions: Mapping[str, float]) -> list[str]:
    """Return what looks wrong about the predictions as a whole, given enough of them."""
    if len(predictions) < ENOUGH_BREASTS:
        return []
    spread = distribution(list(predictions.values()))
    if spread.min == spread.max:
        return [f"all {spread.count} predictions are {spread.min}: is the model broken?"]
    low, high = NATURAL_POSITIVES
    if not low <= spread.positive_share <= high:
        return [
            f"{spread.positive_share:.1%} of the breasts are called positive; about 2 % have a "
            "cancer: is the threshold, or the preprocessing, another than in training?"
        ]
    return []


def closing(report: Report, output: Path) -> str:
    """Return the last lines of the log: warnings, and what was written how fast."""
    failed = sum(len(names) for names in report.failures.values())
    lines = [f"warning: {warning}" for warning in report.warnings]
    lines += [report.rehearsal.announcement()] if report.rehearsal else []
    partial = "" if report.state == COMPLETE else f" ({report.state})"
    resumed = f", {report.resumed_images} by an earlier run" if report.resumed_images else ""
    lines.append(
        f"{output}{partial}: {report.predictions.count} breasts from {report.images.total} images "
        f"({failed} failed, {len(report.fallbacks)} breasts without an image{resumed}) in "
        f"{report.seconds['total']:.1f} s, {report.images_per_s:.1f} images/s"
    )
    return "\n".join(lines)
