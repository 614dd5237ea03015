"""What is known of single weights: fold, epoch and metrics, where a name or a file says them.

Read are file and folder names, the header of safetensors, `trainer_state.json` (Hugging Face) and
`validation/summary.json` (nnU-Net). Nothing is unpickled, and no framework is imported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bundler.commit_remarks import is_weights
from bundler.model import metrics, naming, recorded
from bundler.model.tree import SourceFile, Tree
from inference.boot.manifest import Weights

BEST = "best_metric"  # how Hugging Face's trainer calls the score that it went by
LAST = ("checkpoint_final", "model_final_checkpoint")  # nnU-Net's, of version 2 and 1


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
    above = naming.fold_of_folders(path, len(path.parents))
    fold = above if parsed.fold is None else parsed.fold
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
    header = recorded.read_header(file.path)
    nested = header.get("metrics")
    return {**header, **(nested if isinstance(nested, Mapping) else {})}


def _joined(known: Weights, values: Mapping[str, object]) -> Weights:
    """Return what is known once the values of one more source are taken in."""
    scores = {
        key: score
        for key, value in values.items()
        if (metrics.direction(key) or key == BEST) and (score := recorded.number(value)) is not None
    }
    fold, epoch = recorded.whole(values.get("fold")), recorded.whole(values.get("epoch"))
    return replace(
        known,
        fold=known.fold if fold is None else fold,
        epoch=known.epoch if epoch is None else epoch,
        metrics={**known.metrics, **scores},
    )


def _read_json(path: Path) -> Mapping[str, object]:
    if path.stat().st_size > recorded.LARGEST_JSON:
        return {}
    return recorded.parse_json(path.read_bytes())
