"""Checkpoints → a bundle with one verified ONNX: the flow of `rsna-bundle model`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import bundle
from bundler.bundle import Built
from bundler.errors import UsageError
from bundler.model import architecture, checkpoint, graph, parity, recipe
from bundler.model.checkpoint import Checkpoint
from bundler.model.network import Folds
from bundler.model.options import ModelOptions
from bundler.model.parity import Parity
from bundler.model.recipe import Recipe
from inference import metadata


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Folds that become one ONNX file."""

    name: str
    recipe: Recipe
    folds: Sequence[Checkpoint]
    prevalence: float


def build(options: ModelOptions, place: Path) -> Built:
    """Export checkpoints, verify the ONNX files against torch, and write the model bundle."""
    threshold = choose_threshold(options)
    ensembles = group([checkpoint.read(path) for path in options.checkpoints], options)
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-model-") as scratch:
        models: list[dict[str, Any]] = []
        files: dict[str, Path] = {}
        for ensemble in ensembles:
            entry, written = export(ensemble, options, threshold, Path(scratch))
            models.append(entry)
            files |= {path.name: path for path in written}
        return bundle.write(place, "model", files, {"models": models})


def choose_threshold(options: ModelOptions) -> float | None:
    """Return the threshold; a binary output without one is refused before the work begins."""
    if options.threshold is None and options.output == "binary":
        raise UsageError(
            "The output is binary, and no threshold is known: give --threshold, or set output = "
            '"probability" under [tool.rsna-bundle] in pyproject.toml.'
        )
    return options.threshold


def group(checkpoints: Sequence[Checkpoint], options: ModelOptions) -> list[Ensemble]:
    """Return what becomes one file each: all folds merged, or each apart."""
    resolved = [(one, *recipe.resolve(one, options)) for one in checkpoints]
    ensembles = []
    for number, (one, how, prevalence) in enumerate(resolved):
        name = "model.onnx" if len(resolved) == 1 else f"fold{number}.onnx"
        ensembles.append(Ensemble(name=name, recipe=how, folds=(one,), prevalence=prevalence))
    return ensembles


def export(
    ensemble: Ensemble, options: ModelOptions, threshold: float | None, folder: Path
) -> tuple[dict[str, Any], list[Path]]:
    """Write one ONNX file, verified; return its entry in the manifest and its files."""
    how = ensemble.recipe
    width = metadata.width(how.metadata_columns)
    path = folder / ensemble.name
    network = assemble(ensemble, half=False)
    exported = network if options.precision != "fp16" else assemble(ensemble, half=True)
    model = graph.export(exported, how.size, width, how.arch)
    graph.strip(model)
    card = describe(ensemble, options, threshold)
    graph.write(model, path, card)
    found = verify(network, path, how, options.precision)
    card["parity"] = found.as_dict()
    return {"file": path.name, **card}, graph.write(model, path, card)


def assemble(ensemble: Ensemble, half: bool) -> Folds:
    """Build the network of an ensemble from its folds' weights."""
    how = ensemble.recipe
    nets = [
        architecture.build(one, how.arch, how.model_kwargs, how.metadata_columns)
        for one in ensemble.folds
    ]
    return Folds(
        nets, normalize=how.normalize, channels=how.channels, head=how.head, half=half
    ).eval()


def verify(network: Folds, path: Path, how: Recipe, precision: str) -> Parity:
    """Compare torch and ONNX Runtime on random images; refuse a difference."""
    images = parity.random_images(how.size)
    told = parity.random_metadata(metadata.width(how.metadata_columns), len(images))
    tolerance = parity.TOLERANCE[precision]
    found = parity.compare(
        parity.answer_torch(network, images, told),
        parity.answer_onnx(path, images, told),
        real=0,
        tolerance=tolerance,
    )
    parity.check(found, precision)
    return found


def describe(ensemble: Ensemble, options: ModelOptions, threshold: float | None) -> dict[str, Any]:
    """Return what the file says of itself, in the ONNX and in bundle.json alike."""
    how = ensemble.recipe
    return {
        "checkpoint": _describe_fold(ensemble.folds[0]),
        "arch": how.arch,
        "precision": options.precision,
        "preprocess": dict(how.preprocess),
        "normalize": dict(how.normalize),
        "head": how.head,
        "metadata_columns": list(how.metadata_columns),
        "aggregation": options.aggregation,
        "threshold": threshold,
        "output": options.output,
        "prevalence": ensemble.prevalence,
    }


def _describe_fold(fold: Checkpoint) -> dict[str, Any]:
    return {
        "name": fold.path.name,
        "sha256": checkpoint.digest(fold.path),
        "fold": fold.fold,
        "epoch": fold.epoch,
        "metrics": dict(fold.metrics),
        "run_id": fold.run_id,
        "commit": fold.commit,
        "dirty": fold.dirty,
    }
