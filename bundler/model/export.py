"""Checkpoints → a bundle with one verified ONNX: the flow of `rsna-bundle model`."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bundler import bundle
from bundler.bundle import Built
from bundler.errors import InputError
from bundler.model import (
    architecture,
    card,
    checkpoint,
    decision,
    golden,
    graph,
    parity,
    recipe,
    selection,
    store,
)
from bundler.model.checkpoint import Checkpoint
from bundler.model.decision import Decision
from bundler.model.network import Folds
from bundler.model.options import ModelOptions
from bundler.model.recipe import Recipe
from inference.boot.card import OnnxModel, Parity
from inference.boot.manifest import Model
from inference.pixels.preprocess import PreprocessConfig
from train.checkpoint import Normalize

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Folds that become one ONNX file, and the prevalence of each one's validation set."""

    file: str
    recipe: Recipe
    folds: Sequence[Checkpoint]
    prevalences: Sequence[float]


def build(options: ModelOptions, place: Path, say: Say = lambda text: None) -> Built:
    """Export checkpoints, verify the ONNX files against torch, and write the model bundle.

    `say` is told what was chosen, what is being done and what was measured.
    """
    bundle.check_place(place)  # now: the export may take minutes
    with store.fetched(options) as fetched:
        selected = selection.select(fetched)
        say(selected.summary())
        return _build(selected.chosen, fetched, place, say)


def choose(options: ModelOptions) -> selection.Selection:
    """Return which checkpoints `build` would export. Raises InputError, UsageError."""
    with store.fetched(options) as fetched:
        return selection.select(fetched)


def _build(chosen: Sequence[Checkpoint], options: ModelOptions, place: Path, say: Say) -> Built:
    """Export what was chosen."""
    ensembles = group(chosen, options)
    decided = decision.decide(options, chosen, say)
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-model-") as scratch:
        folder, cases = Path(scratch), golden.Cases(models=len(ensembles))
        models, files = [], []
        for ensemble in ensembles:
            entry, written = export(ensemble, options, decided, cases, folder, say)
            say(card.render(entry))
            models.append(entry)
            files += written
        golden.write_dicoms(cases, folder, {one.file: one.recipe for one in ensembles})
        files += [*cases.files, *decision.draw(decided, folder)]
        part = Model(models=tuple(models), golden=cases.golden)
        return bundle.write(place, {path.name: path for path in files}, part)


def group(checkpoints: Sequence[Checkpoint], options: ModelOptions) -> list[Ensemble]:
    """Return what becomes one file each: all folds merged, or each apart."""
    _check_apart(checkpoints)
    resolved = [recipe.resolve(one, options) for one in checkpoints]
    recipes, prevalences = zip(*resolved, strict=True)
    if options.ensemble == "merge":
        _check_alike(checkpoints, recipes)
        file = "model.onnx"
        return [Ensemble(file=file, recipe=recipes[0], folds=checkpoints, prevalences=prevalences)]
    return [
        Ensemble(file=f"model{number}.onnx", recipe=how, folds=(one,), prevalences=(share,))
        for number, (one, how, share) in enumerate(
            zip(checkpoints, recipes, prevalences, strict=True)
        )
    ]


def _check_apart(checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse a checkpoint that is named twice, or lies there under two names."""
    known: dict[str, Checkpoint] = {}
    for one in checkpoints:
        other = known.setdefault(checkpoint.digest(one.path), one)
        if other is not one:
            raise InputError(
                f"{one.path} and {other.path} are the same checkpoint: it would count twice in "
                "the mean. Leave one out."
            )


def _check_alike(checkpoints: Sequence[Checkpoint], recipes: Sequence[Recipe]) -> None:
    for one, how in zip(checkpoints, recipes, strict=True):
        if differing := how.differences(recipes[0]):
            parts = "; ".join(
                f"{name} {' and '.join(_apart(getattr(how, name), getattr(recipes[0], name)))}"
                for name in differing
            )
            raise InputError(
                f"{one.path.name} and {checkpoints[0].path.name} cannot be merged: they differ in "
                f"{parts}. Choose folds of one training, or take --ensemble separate."
            )


def _apart(one: object, other: object) -> tuple[str, str]:
    """Return what sets two values apart, as text: of several items only those that differ."""
    items = [_items(each) for each in (one, other)]
    if not (items[0] and items[1]):
        return str(one), str(other)
    names = [name for name in {**items[0], **items[1]} if items[0].get(name) != items[1].get(name)]
    texts = [", ".join(f"{name} {each.get(name)}" for name in names) for each in items]
    return texts[0], texts[1]


def _items(value: object) -> Mapping[str, object]:
    """Return the items that a part of a recipe consists of; none where it is one value."""
    if isinstance(value, (PreprocessConfig, Normalize)):
        return value.as_dict()
    return value if isinstance(value, Mapping) else {}


def export(
    ensemble: Ensemble,
    options: ModelOptions,
    decided: Decision,
    cases: golden.Cases,
    folder: Path,
    say: Say,
) -> tuple[OnnxModel, list[Path]]:
    """Write one ONNX file, verified; return its entry in the manifest and its files."""
    how, path = ensemble.recipe, folder / ensemble.file
    network = assemble(ensemble, half=False)
    width = architecture.metadata_width(how.metadata_columns)
    operations = golden.count_operations(network, how.size, width)
    phantoms = golden.draw(how.preprocess, cases.affordable(operations))
    real = parity.load_real(options.images, how.preprocess)
    about = card.describe(
        ensemble.folds,
        ensemble.prevalences,
        how,
        options,
        decided,
        operations=operations,
        golden_images=len(phantoms),
    )
    say(f"{path.name}: exporting {len(ensemble.folds)} × {how.arch}…")
    exported = assemble(ensemble, half=True) if options.precision == "fp16" else network
    model = graph.export(exported, how.size, width, how.arch)
    if options.precision == "int8":
        model = graph.quantize(model, folder)
    graph.strip(model)
    graph.write(model, path, about)
    images = np.concatenate([phantoms, parity.random_images(how.size), real])
    told = parity.random_metadata(width, len(images))
    say(f"{path.name}: comparing ONNX Runtime with torch on {len(images)} images…")
    compared, found = verify(network, path, images, told, options.precision, real=len(real))
    about = replace(about, parity=parity.rounded(compared))
    written = graph.write(model, path, about)
    golden.write_predictions(cases, path, phantoms, told, found, options.precision)
    return card.of_file(path.name, about), written


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


def verify(
    network: Folds,
    path: Path,
    images: parity.Array,
    told: parity.Array | None,
    precision: str,
    real: int,
) -> tuple[Parity, parity.Array]:
    """Compare torch and ONNX Runtime on uint8 [N, H, W] images; refuse a difference.

    Return how they differ, and ONNX Runtime's probabilities [N].
    """
    expected = parity.answer_torch(network, images, told)
    found = parity.answer_onnx(path, images, told)
    tolerance = parity.TOLERANCE[precision]
    compared = parity.compare(expected, found, real=real, tolerance=tolerance)
    parity.check(compared, precision)
    return compared, found[0]
