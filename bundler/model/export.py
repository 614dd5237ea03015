"""Checkpoints → a bundle of ONNX files: the flow of `rsna-bundle model`.

fetch → select → group → decide → for each file: export, compare, prove, describe →
golden cases → bundle
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir

from bundler import bundle
from bundler.bundle import Built
from bundler.errors import UsageError
from bundler.model import (
    architecture,
    card,
    decision,
    golden,
    golden_dicoms,
    graph,
    parity,
    proof,
    recipe,
    remarks,
    sanity,
    scratch,
    selection,
    store,
)
from bundler.model import head as heads
from bundler.model.adopted import choosing
from bundler.model.agreement import Limits
from bundler.model.decision import Decision
from bundler.model.ensemble import Ensemble, group
from bundler.model.options import Choice, ExportOptions, ModelOptions, Training
from bundler.model.origin import Origin
from bundler.model.sanity import Pictures
from bundler.model.selection import Selection
from bundler.secrets.check import FROM_BUNDLE, check_paths
from inference.boot.card import Golden, GoldenPrediction, OnnxModel, Parity
from inference.boot.manifest import Model


@dataclass(frozen=True, kw_only=True)
class Export:
    """One ONNX file: its entry in the manifest, its golden case, and all its files."""

    model: OnnxModel
    prediction: GoldenPrediction
    files: tuple[Path, ...]


def build(options: ModelOptions, folder: Path) -> Built:
    """Export networks, compare the ONNX files with them, and write the model bundle."""
    bundle.check_out(folder)  # now: the export may take minutes
    bundle.check_writable(folder)
    with _selected(options) as selections:
        selected = selection.joined(selections)
        options.progress.note(selected.summary())
        chosen = [
            (member, one.chosen) for member, one in zip(options.members, selections, strict=True)
        ]
        ensembles = group(chosen, options.export)
        decided = decision.decide(options.export, selected.chosen, options.progress)
        with scratch.folder(_needed(selected)) as place:
            return _bundle(ensembles, decided, options, place, folder)


def choose(options: ModelOptions) -> Selection:
    """Return which checkpoints `build` would export. Raises InputError, UsageError."""
    with _selected(options) as selections:
        return selection.joined(selections)


@contextmanager
def _selected(options: ModelOptions) -> Iterator[list[Selection]]:
    """Yield what each member selects, while the files of an MLflow run are here."""
    with ExitStack() as runs:
        yield [
            _select(runs.enter_context(store.fetched(member.choice)), member.training)
            for member in options.members
        ]


def _select(choice: Choice, training: Training) -> Selection:
    """Return the checkpoints that were named, or the ONNX files in their place."""
    if choice.onnx:
        return choosing.select(choice, training)
    return selection.select(choice, training.weights)


def _needed(selected: Selection) -> int:
    """Return about how many bytes the export writes: each network twice, as int8 is made."""
    paths = [
        path
        for one in selected.chosen
        for path in (one.path, *(one.graph.data if one.graph else ()))
    ]
    return 2 * sum(path.stat().st_size for path in paths)


def _bundle(
    ensembles: list[Ensemble], decided: Decision, options: ModelOptions, place: Path, folder: Path
) -> Built:
    """Export each ensemble into the folder `place`, and write the bundle to `folder`."""
    exports = []
    held = Counter(fold for one in ensembles for fold in {member.fold for member in one.folds})
    shared = [fold for fold, files in held.items() if files > 1]
    for ensemble in ensembles:
        exported = export(ensemble, decided, options, place, models=len(ensembles), shared=shared)
        card.report(exported.model, options.progress)
        exports.append(exported)
    dicoms = golden_dicoms.write_dicoms(
        place, {one.file: one.recipe.preprocess for one in ensembles}
    )
    files = [path for one in exports for path in one.files]
    files += [place / one.file for one in dicoms]
    files += decision.draw(decided, place)
    columns = dict.fromkeys(name for one in exports for name in one.model.metadata_columns)
    cases = Golden(
        dicoms=dicoms,
        predictions=tuple(one.prediction for one in exports),
        rows=golden.encode_rows(list(columns)),
    )
    part = Model(models=tuple(one.model for one in exports), golden=cases)
    named = {path.name: path for path in files}
    check_paths(named, "The exported model", FROM_BUNDLE, options.progress)
    return bundle.write(folder, named, part)


def export(
    ensemble: Ensemble,
    decided: Decision,
    options: ModelOptions,
    place: Path,
    *,
    models: int,
    shared: Container[int | None] = (),
) -> Export:
    """Write one ONNX file into the folder `place`. Raises InputError, CheckError.

    It is compared with its origin and with predictions of the user's, where there are any.
    `models` such files share the time that a replay may take on the notebook.
    """
    path = place / ensemble.file
    origin = ensemble.open()
    operations = origin.count_operations()
    inputs = _draw_inputs(ensemble.recipe, options.export, golden.affordable(operations, models))
    exported = _write_graph(origin, ensemble, options, path)
    rows = parity.rows(len(inputs.images), len(inputs.images) - inputs.phantoms, operations)
    options.progress.step(
        f"{path.name}: compare ONNX Runtime with its origin on {len(rows)} images"
    )
    answer = parity.answer_onnx(path, inputs.images, inputs.metadata)
    compared = compare(
        origin, inputs.images, inputs.metadata, answer, rows, options.export, real=inputs.real
    )
    proven = proof.prove(
        ensemble,
        path,
        decided.oof,
        options.export.images,
        Limits(largest=options.export.oof_atol),
        options.progress,
        shared,
    )
    doubts = []
    if proven.proof is None:
        pictures = Pictures.of(inputs.images, inputs.metadata, answer[1], inputs.drawn)
        doubts = list(sanity.check(ensemble, origin, pictures, compared))
    about = card.describe(
        ensemble,
        decided,
        options.export,
        operations=operations,
        golden_images=inputs.phantoms,
        compared=compared,
        proof=proven.proof,
        warnings=[*proven.warnings, *doubts],
    )
    if options.export.strict:
        remarks.refuse(about, path.name)
    written = graph.write(exported, path, about)
    prediction = golden.write_prediction(
        path,
        inputs.images[: inputs.phantoms],
        inputs.metadata,
        answer,
        options.export.precision,
        (compared.noise or 0.0, compared.logit_noise or 0.0),
    )
    return Export(
        model=card.of_file(path.name, about),
        prediction=prediction,
        files=(*written, place / prediction.images),
    )


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """What an export is tried on: uint8 [N, H, W] and metadata [N, K].

    The phantoms come first, the user's own real images last, noise and ramps between them.
    """

    images: npt.NDArray[np.uint8]
    metadata: npt.NDArray[np.float32] | None
    phantoms: int
    real: int

    @property
    def drawn(self) -> slice:
        """Return which of them are neither phantoms nor real."""
        return slice(self.phantoms, len(self.images) - self.real)


def _draw_inputs(how: recipe.Recipe, options: ExportOptions, count: int) -> _Inputs:
    """Return `count` phantoms, other pictures, and the user's images, with metadata to them."""
    phantoms = golden.draw(how.preprocess, count)
    real = parity.load_real(options.images, how.preprocess)
    images = np.concatenate([phantoms, parity.random_images(how.size), real])
    metadata = parity.random_metadata(
        architecture.metadata_width(how.metadata_columns), len(images)
    )
    if metadata is not None:
        metadata[: len(phantoms)] = golden.draw_metadata(how.metadata_columns, len(phantoms))
    return _Inputs(images=images, metadata=metadata, phantoms=len(phantoms), real=len(real))


def _write_graph(
    origin: Origin, ensemble: Ensemble, options: ModelOptions, path: Path
) -> onnx_ir.Model:
    """Write the network to the file `path`, and return its graph, which is to be written again.

    What is compared is a file, and the file is to say how it was compared.
    """
    options.progress.step(f"{path.name}: export {len(ensemble.folds)} × {ensemble.recipe.arch}")
    exported = origin.export(options.export.precision, path.parent)
    graph.strip(exported)
    _check_head(exported, ensemble)
    graph.write(exported, path)
    return exported


def compare(
    origin: Origin,
    images: npt.NDArray[np.uint8],
    metadata: npt.NDArray[np.float32] | None,
    answer: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    rows: Sequence[int],
    how: ExportOptions,
    *,
    real: int,
) -> Parity:
    """Compare what an ONNX file answered with its origin, on some of the images [N, H, W].

    Raises CheckError where they differ by more than is allowed.
    """
    reference = origin.answer(images[rows], None if metadata is None else metadata[rows])
    parity.check_range(reference)
    tolerance = parity.allowed(how.precision, reference.noise, how.atol)
    chosen = answer[0][rows], answer[1][rows]
    compared = parity.compare(reference, chosen, real=real, tolerance=tolerance)
    parity.check(compared, how.precision)
    return parity.rounded(compared)


def _check_head(exported: onnx_ir.Model, ensemble: Ensemble) -> None:
    """Refuse a sigmoid on top of a sigmoid: all would be between 0.5 and 0.73."""
    head = heads.read(ensemble.recipe.head)
    operator = graph.find_activation(exported)
    if operator is not None and head.kind != "probability":
        how = ensemble.recipe
        raise UsageError(recipe.activated(operator, how.head, how.arch, head.index))
