"""submission.json: what was predicted, from what, how fast, and what went wrong."""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.boot.card import OnnxModel
from inference.boot.prepare import Prepared
from inference.deadline import Deadline
from inference.errors import OutOfTimeError, TooManyFailuresError
from inference.pipeline import Outcome, Replica
from inference.pixels.gpu import count_gpus
from inference.predict import CUDA, Model
from inference.submission import TestImage
from inference.workers import peak_rss

NATURAL_POSITIVES = (0.002, 0.10)  # share of breasts called positive; about 2 % have a cancer
ENOUGH_BREASTS = 100  # fewer say nothing about a distribution
METRICS = ("pfbeta", "best_f1", "pr_auc", "roc_auc")  # of a checkpoint, shown where it has them
NAMED = 20  # images that a message lists


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
    """What submission.json holds."""

    ids: Mapping[str, str]
    models: tuple[OnnxModel, ...]
    images: Images
    failures: Mapping[str, tuple[str, ...]]  # kind → image ids
    fallbacks: tuple[str, ...]  # breasts without a readable image
    seconds: Mapping[str, float]  # by stage
    images_per_s: float
    peak_rss_bytes: int
    predictions: Distribution
    warnings: tuple[str, ...]
    providers: Mapping[str, tuple[str, ...]]  # by model
    deadline: DeadlineReport | None


def device_warnings(models: Sequence[Model]) -> list[str]:
    """Return a warning where the machine has a GPU that the models do not use."""
    on_cpu = [model.name for model in models if CUDA not in model.providers]
    if on_cpu and count_gpus():
        return [f"this machine has a GPU, but {', '.join(on_cpu)} runs on the CPU"]
    return []


def check_deadline(outcome: Outcome, deadline: Deadline) -> None:
    """Raise where time ran out and the run was to stop; otherwise say what was left out."""
    if not outcome.skipped:
        return
    named = ", ".join(outcome.skipped[:10]) + (" …" if len(outcome.skipped) > 10 else "")
    text = (
        f"The limit of {deadline.limit:.0f} s is over with {len(outcome.skipped)} of "
        f"{outcome.total} images to do ({named})"
    )
    if deadline.at == "stop":
        raise OutOfTimeError(
            f"{text}; nothing was written. Use a smaller preset or model, or finish with what "
            "there is: --at-deadline coarse."
        )
    print(f"warning: {text}", file=sys.stderr, flush=True)


def check_failures(outcome: Outcome, most: float) -> None:
    """Raise where a larger share of the images failed than `most`; otherwise name those."""
    failed = len(outcome.failures)
    if not failed:
        return
    named = [f"{image_id} ({error.kind}): {error}" for image_id, error in outcome.failures]
    listed = "".join(f"\n  {line}" for line in named[:NAMED])
    more = f"\n  and {failed - NAMED} more" if failed > NAMED else ""
    text = f"{failed} of {outcome.total} images could not be read:{listed}{more}"
    if failed > most * outcome.total:
        raise TooManyFailuresError(
            f"{text}\nThat is more than {most:.1%}; nothing was written. Fix the files, or allow "
            "more with --max-failures or --on-failures finish."
        )
    print(f"warning: {text}", file=sys.stderr, flush=True)


def build(
    prepared: Prepared,
    replicas: Sequence[Replica],
    images: Sequence[TestImage],
    outcome: Outcome,
    predictions: Mapping[str, float],
    fallbacks: Sequence[str],
    deadline: Deadline,
) -> Report:
    """Return what the run did."""
    failures: dict[str, list[str]] = defaultdict(list)
    for image_id, error in outcome.failures:
        failures[error.kind].append(image_id)
    seconds = {stage: round(value, 3) for stage, value in sorted(outcome.seconds.items())}
    return Report(
        ids=prepared.ids,
        models=prepared.require_model().model.models,
        images=Images(
            total=outcome.total,
            by_transfer_syntax=dict(outcome.transfer_syntaxes),
            by_decoder=dict(outcome.decoders),
            by_site=_count(images, "site_id"),
            by_machine=_count(images, "machine_id"),
        ),
        failures={kind: tuple(names) for kind, names in failures.items()},
        fallbacks=tuple(fallbacks),
        seconds=seconds,
        images_per_s=round(outcome.total / max(seconds["total"], 1e-3), 3),
        peak_rss_bytes=peak_rss() + outcome.workers * outcome.peak_rss_bytes,
        predictions=distribution(list(predictions.values())),
        warnings=(
            *device_warnings(replicas[0]),
            *deadline_warnings(outcome),
            *distribution_warnings(predictions),
        ),
        providers={model.name: tuple(model.providers) for model in replicas[0]},
        deadline=describe_deadline(deadline, outcome),
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


def deadline_warnings(outcome: Outcome) -> list[str]:
    """Return what the time limit did to the predictions."""
    warnings = []
    if outcome.coarse:
        warnings.append(f"{len(outcome.coarse)} images were taken at the fastest settings")
    if outcome.skipped:
        warnings.append(f"{len(outcome.skipped)} images were left out for want of time")
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
    lines.append(
        f"{output}: {report.predictions.count} breasts from {report.images.total} images "
        f"({failed} failed, {len(report.fallbacks)} breasts without an image) in "
        f"{report.seconds['total']:.1f} s, {report.images_per_s:.1f} images/s"
    )
    return "\n".join(lines)
