"""What is known of single weights: fold, epoch and metrics, where a name or a file says them.

Read are file and folder names, the header of safetensors, `trainer_state.json` (Hugging Face) and
`validation/summary.json` (nnU-Net). Nothing is unpickled, and no framework is imported.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bundler.commit_remarks import is_weights
from bundler.model import naming
from bundler.model.tree import SourceFile, Tree
from inference.boot.manifest import Weights

LARGEST_JSON = 64 << 20  # bytes of a header or table that is read
BEST = "best_metric"  # how Hugging Face's trainer calls the score that it went by
LAST = ("checkpoint_final", "model_final_checkpoint")  # nnU-Net's, of version 2 and 1
# What a key that holds a score is called; other numbers (steps, learning rates) are none.
SCORE = re.compile(
    r"auc|acc|loss|f1|dice|iou|map$|score|kappa|rmse|mae|mse|brier|recall|precision|pearson|r2$",
    re.IGNORECASE,
)


def describe(tree: Tree) -> tuple[Weights, ...]:
    """Return what is known of a tree's weights, by their names; those that say nothing not."""
    files = {file.name: file for file in tree.files}
    contents = (_describe(file, files) for file in tree.files if is_weights(file.name))
    return tuple(one for one in contents if one != Weights(name=one.name))


def _describe(file: SourceFile, files: Mapping[str, SourceFile]) -> Weights:
    """Join what each source says of a file; the nearest to the weights themselves prevails."""
    known = _of_name(file.name)
    for values in (*_of_neighbours(file, files), _of_header(file)):
        known = _joined(known, values)
    return known


def _of_name(name: str) -> Weights:
    """Read a name, and for the fold also the names of the folders above, the nearest first."""
    path = PurePosixPath(name)
    parsed = naming.parse(path.stem)
    folds = (naming.parse(folder.name).fold for folder in path.parents)
    fold = (
        parsed.fold if parsed.fold is not None else next((f for f in folds if f is not None), None)
    )
    return Weights(name=name, fold=fold, epoch=parsed.epoch, metrics=parsed.metrics)


def _of_neighbours(
    file: SourceFile, files: Mapping[str, SourceFile]
) -> Iterator[Mapping[str, object]]:
    """Yield what the tables of a training beside the weights say."""
    path = PurePosixPath(file.name)
    if state := files.get(str(path.with_name("trainer_state.json"))):
        values = _read_json(state.path)
        name = values.get("best_metric_name") or BEST
        yield {"epoch": values.get("epoch"), str(name): values.get("best_metric")}
    # nnU-Net validates its last weights, not those that were best meanwhile.
    summary = files.get(str(path.parent / "validation" / "summary.json"))
    if summary and path.stem in LAST:
        mean = _read_json(summary.path).get("foreground_mean")
        yield {"dice": mean.get("Dice")} if isinstance(mean, dict) else {}


def _of_header(file: SourceFile) -> Mapping[str, object]:
    """Return the metadata that a safetensors file begins with."""
    if not file.name.lower().endswith(".safetensors"):
        return {}
    with file.path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = _parse(stream.read(length)) if length <= LARGEST_JSON else {}
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict):
        return {}
    nested = _parse(str(metadata.get("metrics", "")))
    return {**metadata, **nested}


def _joined(known: Weights, values: Mapping[str, object]) -> Weights:
    """Return what is known once the values of one more source are taken in."""
    numbers = {
        key: number for key, value in values.items() if (number := _number(value)) is not None
    }
    metrics = {key: value for key, value in numbers.items() if SCORE.search(key) or key == BEST}
    return replace(
        known,
        fold=_whole(numbers.get("fold"), known.fold),
        epoch=_whole(numbers.get("epoch"), known.epoch),
        metrics={**known.metrics, **metrics},
    )


def _whole(number: float | None, otherwise: int | None) -> int | None:
    whole = number is not None and 0 <= number < 2**53 and number.is_integer()
    return int(number) if whole and number is not None else otherwise


def _number(value: object) -> float | None:
    """Return a finite number, or the text of one, as a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _read_json(path: Path) -> Mapping[str, object]:
    if path.stat().st_size > LARGEST_JSON:
        return {}
    return _parse(path.read_bytes())


def _parse(text: str | bytes) -> Mapping[str, object]:
    """Return a JSON object; nothing of what is none, since it is somebody else's file."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
