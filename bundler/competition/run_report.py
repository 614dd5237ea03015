"""submission.json, as far as a rehearsal uses it: what the runner in the box says of its run."""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.output import COMPLETE


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """How the predictions are distributed; the bins of the histogram share [0, 1] equally."""

    count: int
    low: float
    mean: float
    high: float
    positive_share: float  # at 0.5 or above
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run says of itself."""

    state: str  # `complete`, `partial` or `fallbacks only`
    csv_sha256: str | None  # of the submission.csv that this is about
    ids: dict[str, str]  # kind → id of the bundle that was used
    total: int  # images
    failures: dict[str, str]  # image id → kind of the failure
    suspicious: dict[str, tuple[str, ...]]  # image id → why it may be damaged
    fallbacks: tuple[str, ...]  # breasts that no image answers for
    warnings: tuple[str, ...]
    install_seconds: float
    predictions: Predictions
    threshold: float | None = None  # that the rehearsal gave it, in place of the model's


def read(path: Path) -> RunReport | None:
    """Read a submission.json; None where there is none, or none that the runner wrote."""
    try:
        return _parse(path.read_text(encoding="utf-8"))
    # A run of one's own may write anything under this name.
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _parse(text: str) -> RunReport:
    content = json.loads(text)
    spread = content["predictions"]
    digest, asked = content.get("csv_sha256"), content.get("rehearsal")
    return RunReport(
        # A runner before this one wrote its report at the end alone.
        state=str(content.get("state", COMPLETE)),
        csv_sha256=None if digest is None else str(digest),
        ids={str(kind): str(identity) for kind, identity in content["ids"].items()},
        total=int(content["images"]["total"]),
        failures={
            str(name): str(kind) for kind, names in content["failures"].items() for name in names
        },
        suspicious={
            str(name): tuple(map(str, signs))
            for name, signs in content.get("suspicious", {}).items()
        },
        fallbacks=tuple(map(str, content["fallbacks"])),
        warnings=tuple(map(str, content["warnings"])),
        install_seconds=float(content["seconds"].get("install", 0.0)),
        predictions=Predictions(
            count=int(spread["count"]),
            low=float(spread["min"]),
            mean=float(spread["mean"]),
            high=float(spread["max"]),
            positive_share=float(spread["positive_share"]),
            histogram=tuple(map(int, spread["histogram"])),
        ),
        threshold=None if asked is None else float(asked["threshold"]),
    )
