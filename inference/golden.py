"""Golden cases: predictions on the laptop, replayed where the submission runs.

The model bundle carries small DICOMs with the hash of their prepared pixels, and prepared images
with their predictions. Another decoder, another preprocessing or another runtime changes the
numbers without raising anything; here it is caught before the first image of the test set.
`rsna-bundle model` makes the cases (bundler.model.golden).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.boot.bundle import Bundle
from inference.boot.card import GoldenPrediction
from inference.errors import BundleError
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.predict import CPU, Model


def replay(bundle: Bundle, models: Sequence[Model]) -> None:
    """Repeat a verified model bundle's golden cases on its open models.

    Raises BundleError where a number differs from home's by more than its tolerance. A bundle
    without cases is refused, too: nothing would be known of its numbers.
    """
    golden = bundle.model.golden
    if not golden.dicoms:
        raise BundleError(
            f"The model bundle {bundle.id[:12]} carries no golden cases, so nothing proves that "
            "its numbers are the same here. Export it again with this version of rsna-bundle."
        )
    for dicom in golden.dicoms:
        _replay_pixels(bundle.path(dicom.file), dicom.prepared, models)
    for case in golden.predictions:
        _replay_predictions(bundle.path(case.images), case, models)


def fingerprint(pixels: npt.NDArray[np.uint8]) -> str:
    """Return the sha256 of prepared pixels, uint8 [H, W], and of their shape."""
    shape = "×".join(str(side) for side in pixels.shape)
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _replay_pixels(path: Path, prepared: Mapping[str, str], models: Sequence[Model]) -> None:
    try:
        loaded = load(path, [model.preprocess for model in models])
    except ImageError as error:
        raise BundleError(
            f"The golden image {path.name} cannot be read here: {error} The images of the test "
            "set could not be either. Put the decoder it needs into wheelhouse.txt."
        ) from error
    for model, pixels in zip(models, loaded.inputs, strict=True):
        if fingerprint(pixels) != prepared.get(model.name):
            raise BundleError(
                f"The golden image {path.name}, prepared for {model.name}, has other pixels here "
                f"than on the laptop (transfer syntax {loaded.transfer_syntax}, decoded by "
                f"{loaded.decoder}): the decoder or the preprocessing differs, and predictions "
                "on such pixels mean nothing. Bundle the code that the model was exported with, "
                "or export the model again with this code."
            )


def _replay_predictions(path: Path, case: GoldenPrediction, models: Sequence[Model]) -> None:
    (model,) = (model for model in models if model.name == case.model)
    images = np.load(path, allow_pickle=False)
    metadata = None if case.metadata is None else np.asarray(case.metadata, dtype=np.float32)
    replayed = [
        model.predict(images[i : i + 1], None if metadata is None else metadata[i : i + 1])[0]
        for i in range(len(images))
    ]
    tolerance = case.tolerance.cpu if model.providers == [CPU] else case.tolerance.other
    off = np.abs(np.asarray(replayed, dtype=np.float64) - np.asarray(case.probabilities))
    if not bool(off.max() <= tolerance):  # NaN is refused, too
        raise BundleError(
            f"{model.name} predicts something else than on the laptop: off by {off.max():.2g} in "
            f"probability on golden image {int(off.argmax())} of {len(off)} "
            f"({tolerance:g} is allowed on {', '.join(model.providers)}). Its runtime "
            "computes something else: put the onnxruntime that the model was exported with into "
            "wheelhouse.txt, or use --device cpu."
        )
