"""Checkpoints → a bundle of verified ONNX files: the flow of `rsna-bundle model`.

fetch → select → group → decide → for each file: export, verify, describe → golden cases → bundle
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir

from bundler import bundle
from bundler.bundle import Built
from bundler.model import (
    architecture,
    card,
    decision,
    golden,
    golden_dicoms,
    graph,
    parity,
    selection,
    store,
)
from bundler.model.decision import Decision
from bundler.model.ensemble import Ensemble, group
from bundler.model.network import Folds
from bundler.model.options import ModelOptions
from bundler.model.selection import Selection
from inference.boot.card import Golden, GoldenPrediction, OnnxModel, Parity
from inference.boot.manifest import Model


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How an ONNX file differs from torch, and its answer: probabilities [N] and logits [N, F]."""

    parity: Parity
    answer: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Export:
    """One ONNX file: its entry in the manifest, its golden case, and all its files."""

    model: OnnxModel
    prediction: GoldenPrediction
    files: tuple[Path, ...]


def build(options: ModelOptions, folder: Path) -> Built:
    """Export checkpoints, verify the ONNX files against torch, and write the model bundle."""
    bundle.check_out(folder)  # now: the export may take minutes
    with store.fetched(options.choice) as choice:
        selected = selection.select(choice, options.training.weights)
        options.progress.note(selected.summary())
        ensembles = group(selected.chosen, options)
        decided = decision.decide(options.export, selected.chosen, options.progress)
        with tempfile.TemporaryDirectory(prefix="rsna-bundle-model-") as scratch:
            return _bundle(ensembles, decided, options, Path(scratch), folder)


def choose(options: ModelOptions) -> Selection:
    """Return which checkpoints `build` would export. Raises InputError, UsageError."""
    with store.fetched(options.choice) as choice:
        return selection.select(choice, options.training.weights)


def _bundle(
    ensembles: list[Ensemble], decided: Decision, options: ModelOptions, scratch: Path, folder: Path
) -> Built:
    """Export each ensemble into the folder `scratch`, and write the bundle to `folder`."""
    exports = []
    for ensemble in ensembles:
        exported = export(ensemble, decided, options, scratch, models=len(ensembles))
        card.report(exported.model, options.progress)
        exports.append(exported)
    dicoms = golden_dicoms.write_dicoms(
        scratch, {one.file: one.recipe.preprocess for one in ensembles}
    )
    files = [path for one in exports for path in one.files]
    files += [scratch / one.file for one in dicoms]
    files += decision.draw(decided, scratch)
    columns = dict.fromkeys(name for one in exports for name in one.model.metadata_columns)
    cases = Golden(
        dicoms=dicoms,
        predictions=tuple(one.prediction for one in exports),
        rows=golden.encode_rows(list(columns)),
    )
    part = Model(models=tuple(one.model for one in exports), golden=cases)
    return bundle.write(folder, {path.name: path for path in files}, part)


def export(
    ensemble: Ensemble, decided: Decision, options: ModelOptions, scratch: Path, *, models: int
) -> Export:
    """Write one ONNX file into the folder `scratch`, verified. Raises InputError, CheckError.

    `models` such files share the time that a replay may take on the notebook.
    """
    how, path = ensemble.recipe, scratch / ensemble.file
    width = architecture.metadata_width(how.metadata_columns)
    network = ensemble.assemble()
    operations = golden.count_operations(network, how.size, width)
    phantoms = golden.draw(how.preprocess, golden.affordable(operations, models))
    real = parity.load_real(options.export.images, how.preprocess)
    images = np.concatenate([phantoms, parity.random_images(how.size), real])
    metadata = parity.random_metadata(width, len(images))
    if metadata is not None:
        metadata[: len(phantoms)] = golden.draw_metadata(how.metadata_columns, len(phantoms))

    options.progress.step(f"{path.name}: export {len(ensemble.folds)} × {how.arch}")
    exported = _export_graph(network, ensemble, options, width, scratch)
    # Written twice: what is verified is a file, and the file is to say how it was verified.
    graph.write(exported, path)
    options.progress.step(f"{path.name}: compare ONNX Runtime with torch on {len(images)} images")
    verified = verify(network, path, images, metadata, options.export.precision, real=len(real))
    about = card.describe(
        ensemble,
        decided,
        options.export,
        operations=operations,
        golden_images=len(phantoms),
        compared=verified.parity,
    )
    written = graph.write(exported, path, about)
    prediction = golden.write_prediction(
        path, phantoms, metadata, verified.answer, options.export.precision
    )
    return Export(
        model=card.of_file(path.name, about),
        prediction=prediction,
        files=(*written, scratch / prediction.images),
    )


def _export_graph(
    network: Folds, ensemble: Ensemble, options: ModelOptions, width: int, scratch: Path
) -> onnx_ir.Model:
    """Return the network's graph in the precision that was asked for, stripped."""
    how = ensemble.recipe
    # float16 changes a network's weights in place; the one at hand stays as the reference.
    exported = ensemble.assemble(half=True) if options.export.precision == "fp16" else network
    model = graph.export(exported, how.size, width, how.arch)
    if options.export.precision == "int8":
        model = graph.quantize(model, scratch)
    graph.strip(model)
    return model


def verify(
    network: Folds,
    path: Path,
    images: npt.NDArray[np.uint8],
    metadata: npt.NDArray[np.float32] | None,
    precision: str,
    *,
    real: int,
) -> Verified:
    """Compare torch and ONNX Runtime on uint8 [N, H, W] images. Raises CheckError."""
    expected = parity.answer_torch(network, images, metadata)
    actual = parity.answer_onnx(path, images, metadata)
    tolerance = parity.TOLERANCE[precision]
    compared = parity.compare(expected, actual, real=real, tolerance=tolerance)
    parity.check(compared, precision)
    return Verified(parity=parity.rounded(compared), answer=actual)
