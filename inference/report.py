"""What the run says of itself: banner, progress, submission.json, closing lines."""

import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference import predict
from inference.boot.bundle import Bundle
from inference.errors import TooManyFailuresError
from inference.pipeline import Outcome
from inference.predict import Model
from inference.submission import TestImage

NATURAL_POSITIVES = (0.002, 0.10)  # share of breasts called positive; about 2 % have a cancer
ENOUGH_BREASTS = 100  # fewer say nothing about a distribution
EVERY = 10.0  # seconds between lines of progress


def banner(
    chosen: Mapping[str, Bundle], models: Sequence[Model], images: Sequence[TestImage]
) -> str:
    """Return what this run is made of: commit, checkpoint, wheels, images, device."""
    code, libs = chosen["code"], chosen["libs"]
    dirty = " with uncommitted changes" if code.details.get("dirty") else ""
    lines = [
        f"code   {code.id[:12]}  commit {str(code.details.get('commit'))[:12]}{dirty}",
        *(
            f"model  {chosen['model'].id[:12]}  {describe(entry)}"
            for entry in chosen["model"].details["models"]
        ),
        f"libs   {libs.id[:12]}  {len(libs.details['lock'])} wheels for Python "
        f"{libs.details['target']['python']}: {_pins(libs)}",
        f"test   {len(images)} images, {len({image.prediction_id for image in images})} breasts",
        f"device {', '.join(models[0].providers)}",
        *(f"warning: {warning}" for warning in device_warnings(models)),
    ]
    return "\n".join(lines)


def describe(entry: Mapping[str, Any]) -> str:
    """Return one line about a model: its checkpoint, fold, epoch and metrics."""
    return f"{entry['arch']}  " + "; ".join(map(_describe_fold, entry["checkpoints"]))


def _describe_fold(checkpoint: Mapping[str, Any]) -> str:
    parts = [str(checkpoint["name"])]
    for key in ("fold", "epoch"):
        if checkpoint.get(key) is not None:
            parts.append(f"{key} {checkpoint[key]}")
    metrics = checkpoint.get("metrics") or {}
    parts += [f"{name} {value:.4g}" for name, value in metrics.items() if _is_number(value)]
    return "  ".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pins(libs: Bundle) -> str:
    pins = [line.split()[0] for line in libs.details["lock"]]
    return ", ".join(pins[:8]) + (f" and {len(pins) - 8} more" if len(pins) > 8 else "")


def device_warnings(models: Sequence[Model]) -> list[str]:
    """Return a warning where the machine has a GPU that the models do not use."""
    on_cpu = [model.name for model in models if predict.CUDA not in model.providers]
    if on_cpu and predict.has_gpu():
        return [f"this machine has a GPU, but {', '.join(on_cpu)} runs on the CPU"]
    return []


def progress() -> Callable[[Outcome], None]:
    """Return a callback that prints how far the run is, once in a while."""
    start = time.monotonic()
    last = start

    def show(outcome: Outcome) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY and outcome.done < outcome.total:
            return
        last = now
        rate = outcome.done / max(now - start, 1e-9)
        left = (outcome.total - outcome.done) / rate
        print(
            f"{outcome.done}/{outcome.total} images, {rate:.1f} images/s, {left / 60:.1f} min left",
            flush=True,
        )

    return show


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
    models: Sequence[Model],
    images: Sequence[TestImage],
    outcome: Outcome,
    predictions: Mapping[str, float],
    fallbacks: Sequence[str],
) -> dict[str, Any]:
    """Return submission.json: what was predicted, from what, how fast, and what went wrong."""
    failures: dict[str, list[str]] = defaultdict(list)
    for image_id, error in outcome.failures:
        failures[error.kind].append(image_id)
    seconds = {stage: round(value, 3) for stage, value in sorted(outcome.seconds.items())}
    return {
        "ids": {kind: bundle.id for kind, bundle in chosen.items()},
        "models": chosen["model"].details["models"],
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
        "peak_rss_bytes": _peak_rss(),
        "predictions": distribution(list(predictions.values())),
        "warnings": [*device_warnings(models), *distribution_warnings(predictions)],
        "providers": {model.name: model.providers for model in models},
        "deadline": None,
    }


def _count(images: Sequence[TestImage], column: str) -> dict[str, int]:
    return dict(Counter(image.columns.get(column, "") for image in images))


def _peak_rss() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    people = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in people) * unit


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
