"""What the run says of itself: banner, progress, submission.json, closing lines."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.boot import install
from inference.boot.bundle import Bundle
from inference.boot.card import Checkpoint
from inference.boot.fields import plain
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
EVERY = 10.0  # seconds between lines of progress


def banner(
    chosen: Mapping[str, Bundle], replicas: Sequence[Replica], images: Sequence[TestImage]
) -> str:
    """Return what this run is made of: commit, checkpoint, wheels, images, device."""
    code, libs = chosen["code"], chosen["libs"]
    dirty = " with uncommitted changes" if code.code.dirty else ""
    target = install.fitting(libs.libs)
    lines = [
        f"code   {code.id[:12]}  commit {code.code.commit[:12]}{dirty}",
        *(
            f"model  {chosen['model'].id[:12]}  {model.arch}  {describe(checkpoint)}"
            for model in chosen["model"].model.models
            for checkpoint in model.checkpoints
        ),
        f"libs   {libs.id[:12]}  {len(target.lock)} wheels for Python "
        f"{target.python}: {_pins(target.lock)}",
        f"test   {len(images)} images, {len({image.prediction_id for image in images})} breasts",
        f"device {', '.join(replicas[0][0].providers)}"
        + (f", on {len(replicas)} devices" if len(replicas) > 1 else ""),
        *(f"warning: {warning}" for warning in device_warnings(replicas[0])),
    ]
    return "\n".join(lines)


def describe(checkpoint: Checkpoint) -> str:
    """Return one line about a checkpoint: its name, fold, epoch and metrics."""
    numbers = (("fold", checkpoint.fold), ("epoch", checkpoint.epoch))
    known = [f"{name} {number}" for name, number in numbers if number is not None]
    metrics = checkpoint.metrics
    shown = [name for name in METRICS if name in metrics] or list(metrics)[:3]
    return "  ".join([checkpoint.name, *known, *(f"{name} {metrics[name]:.3f}" for name in shown)])


def _pins(lock: Sequence[str]) -> str:
    pins = [line.split()[0] for line in lock]
    return ", ".join(pins[:8]) + (f" and {len(pins) - 8} more" if len(pins) > 8 else "")


def device_warnings(models: Sequence[Model]) -> list[str]:
    """Return a warning where the machine has a GPU that the models do not use."""
    on_cpu = [model.name for model in models if CUDA not in model.providers]
    if on_cpu and count_gpus():
        return [f"this machine has a GPU, but {', '.join(on_cpu)} runs on the CPU"]
    return []


class Progress:
    """A callback that prints how far the run is: a bar in a terminal, else a line now and then."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._terminal = sys.stdout.isatty()
        self._every = 0.2 if self._terminal else EVERY
        self._last = time.monotonic()

    def __call__(self, outcome: Outcome) -> None:
        """Print where it is time to."""
        finished = outcome.done == outcome.total
        if time.monotonic() - self._last < self._every and not finished:
            return
        self._last = time.monotonic()
        line = self.line(outcome)
        if self._terminal:
            filled = 30 * outcome.done // outcome.total
            print(f"\r[{'#' * filled:30}] {line}\x1b[K", end="\n" if finished else "", flush=True)
        else:
            print(line, flush=True)

    def line(self, outcome: Outcome) -> str:
        """Return how many images are done, how fast, and when the run will have ended."""
        said = f"{outcome.done}/{outcome.total} images"
        rate = self._deadline.rate(outcome.done)
        end = self._deadline.projected(outcome.done, outcome.total)
        if rate is None or end is None:
            return said
        said += f", {rate:.1f} images/s, {self._deadline.elapsed() / 60:.1f} of {end / 60:.1f} min"
        limit = self._deadline.limit
        if limit is not None and end > limit:
            said += f": beyond the limit of {limit / 60:.1f} min"
        return said


def check_deadline(outcome: Outcome, deadline: Deadline) -> None:
    """Raise where time ran out and the run was to stop; otherwise say what was left out."""
    if not outcome.skipped:
        return
    named = ", ".join(outcome.skipped[:10]) + (" …" if len(outcome.skipped) > 10 else "")
    said = (
        f"The limit of {deadline.limit:.0f} s is over with {len(outcome.skipped)} of "
        f"{outcome.total} images to do ({named})"
    )
    if deadline.at == "stop":
        raise OutOfTimeError(
            f"{said}; nothing was written. Use a smaller preset or model, or finish with what "
            "there is: --at-deadline coarse."
        )
    print(f"warning: {said}", file=sys.stderr, flush=True)


def check_failures(outcome: Outcome, most: float) -> None:
    """Raise where a larger share of the images failed than `most`; otherwise name those."""
    failed = len(outcome.failures)
    if not failed:
        return
    named = [f"{image_id} ({error.kind}): {error}" for image_id, error in outcome.failures]
    listed = "".join(f"\n  {line}" for line in named[:20])
    more = f"\n  and {failed - 20} more" if failed > 20 else ""
    said = f"{failed} of {outcome.total} images could not be read:{listed}{more}"
    if failed > most * outcome.total:
        raise TooManyFailuresError(
            f"{said}\nThat is more than {most:.1%}; nothing was written. Mend the files, or allow "
            "more with --max-failures or --on-failures finish."
        )
    print(f"warning: {said}", file=sys.stderr, flush=True)


def build(
    chosen: Mapping[str, Bundle],
    replicas: Sequence[Replica],
    images: Sequence[TestImage],
    outcome: Outcome,
    predictions: Mapping[str, float],
    fallbacks: Sequence[str],
    deadline: Deadline,
) -> dict[str, Any]:
    """Return submission.json: what was predicted, from what, how fast, and what went wrong."""
    failures: dict[str, list[str]] = defaultdict(list)
    for image_id, error in outcome.failures:
        failures[error.kind].append(image_id)
    seconds = {stage: round(value, 3) for stage, value in sorted(outcome.seconds.items())}
    return {
        "ids": {kind: bundle.id for kind, bundle in chosen.items()},
        "models": plain(chosen["model"].model.models),
        "images": {
            "total": outcome.total,
            "by_transfer_syntax": dict(outcome.transfer_syntaxes),
            "by_decoder": dict(outcome.decoders),
            "by_site": _count(images, "site_id"),
            "by_machine": _count(images, "machine_id"),
        },
        "failures": dict(failures),
        "fallbacks": list(fallbacks),
        "seconds": seconds,
        "images_per_s": round(outcome.total / max(seconds["total"], 1e-3), 3),
        "peak_rss_bytes": peak_rss() + outcome.workers * outcome.peak_rss_bytes,
        "predictions": distribution(list(predictions.values())),
        "warnings": [
            *device_warnings(replicas[0]),
            *deadline_warnings(outcome),
            *distribution_warnings(predictions),
        ],
        "providers": {model.name: model.providers for model in replicas[0]},
        "deadline": deadline.as_dict(),
    }


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


def distribution(values: Sequence[float]) -> dict[str, Any]:
    """Return count, extremes, mean, share of values ≥ 0.5, and a histogram of ten bins."""
    histogram = [0] * 10
    for value in values:
        histogram[min(int(value * 10), 9)] += 1
    return {
        "count": len(values),
        "min": min(values),
        "mean": sum(values) / len(values),
        "max": max(values),
        "positive_share": sum(value >= 0.5 for value in values) / len(values),
        "histogram": histogram,
    }


def distribution_warnings(predictions: Mapping[str, float]) -> list[str]:
    """Return what looks wrong about the predictions as a whole, given enough of them."""
    if len(predictions) < ENOUGH_BREASTS:
        return []
    said = distribution(list(predictions.values()))
    if said["min"] == said["max"]:
        return [f"all {said['count']} predictions are {said['min']}: is the model broken?"]
    low, high = NATURAL_POSITIVES
    if not low <= said["positive_share"] <= high:
        return [
            f"{said['positive_share']:.1%} of the breasts are called positive; about 2 % have a "
            "cancer: is the threshold, or the preprocessing, another than in training?"
        ]
    return []


def closing(said: Mapping[str, Any], output: Path) -> str:
    """Return the last lines of the log: warnings, and what was written how fast."""
    failed = sum(len(ids) for ids in said["failures"].values())
    lines = [f"warning: {warning}" for warning in said["warnings"]]
    lines.append(
        f"{output}: {said['predictions']['count']} breasts from {said['images']['total']} images "
        f"({failed} failed, {len(said['fallbacks'])} breasts without an image) in "
        f"{said['seconds']['total']:.1f} s, {said['images_per_s']:.1f} images/s"
    )
    return "\n".join(lines)
