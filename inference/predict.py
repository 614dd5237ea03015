"""ONNX sessions: batches of prepared images → probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from inference.boot.bundle import Bundle
from inference.boot.card import Card, parse_card
from inference.errors import BundleError, InputError, InstallError, UsageError
from inference.pixels.gpu import count_gpus
from inference.pixels.preprocess import PreprocessConfig

METADATA_KEY = "rsna-bundle"  # in the ONNX file: what bundle.json says of the model, too
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Images per call. On a CPU, one at a time is fastest (its values stay in the cache) and takes the
# least memory: efficientnet_b0 at 512×512 takes 240 MB for one, 640 MB for four.
BATCHES = {CUDA: 16, CPU: 1}
# µs that a thread of the session waits awake for its next share of the work: far longer would
# take the CPU from the decoding workers, and to be woken for each of hundreds of operators costs
# a small network a fifth of its speed.
SPIN = "100"
Providers = list[str | tuple[str, dict[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Model:
    """An ONNX session and what its file says of itself.

    Input `image` uint8 [N, 1, H, W] (and `metadata` float32 [N, K] where `metadata_columns`
    are recorded); output `probability` float32 [N].
    """

    name: str
    session: onnxruntime.InferenceSession
    preprocess: PreprocessConfig
    card: Card

    @property
    def metadata_columns(self) -> Sequence[str]:
        """Return the columns of the table that the model gets beside the pixels."""
        return self.card.metadata_columns

    @property
    def batch_size(self) -> int:
        """Return how many images a call should have on this device."""
        return BATCHES[CUDA if CUDA in self.providers else CPU]

    @property
    def providers(self) -> list[str]:
        """Return the execution providers that the session really has."""
        return list(self.session.get_providers())

    def predict(
        self, images: npt.NDArray[np.uint8], metadata: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return float32 [N] probabilities for uint8 [N, H, W] images, float32 [N, K] metadata."""
        (probability,) = self.session.run(["probability"], self._inputs(images, metadata))
        return np.asarray(probability, dtype=np.float32).reshape(-1)

    def answer(
        self, images: npt.NDArray[np.uint8], metadata: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what `predict` does, and the folds' logits, float32 [N, F], of the same call."""
        inputs = self._inputs(images, metadata)
        probability, logits = self.session.run(["probability", "logits"], inputs)
        return np.asarray(probability, np.float32).reshape(-1), np.asarray(logits, np.float32)

    def _inputs(
        self, images: npt.NDArray[np.uint8], metadata: npt.NDArray[np.float32] | None
    ) -> dict[str, npt.NDArray[Any]]:
        inputs: dict[str, npt.NDArray[Any]] = {"image": images[:, None]}
        if self.metadata_columns and metadata is not None:
            inputs["metadata"] = metadata
        return inputs


Replica = Sequence[Model]  # all models of the bundle, opened on one device


def load(bundle: Bundle, device: str, threads: int = 0) -> list[list[Model]]:
    """Open the models of a verified model bundle: all of them on each GPU, or once on the CPU.

    `device`: `cuda` stops where there is none, `cpu` uses none, `auto` takes what there is.
    """
    files = dict.fromkeys(bundle.path(model.file) for model in bundle.model.models)
    return [
        [open_model(path, device, threads, providers) for path in files]
        for providers in choose_providers(device)
    ]


def open_model(
    path: Path, device: str = "cpu", threads: int = 0, providers: Providers | None = None
) -> Model:
    """Open one ONNX file; `threads` 0 leaves their number to ONNX Runtime."""
    providers = providers or choose_providers(device)[0]
    try:
        session = onnxruntime.InferenceSession(path, settings(threads), providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common base of their own
        raise BundleError(
            f"{path} is no model that this ONNX Runtime ({onnxruntime.__version__}) can open: "
            f"{error}. Export it again, or put the onnxruntime it needs into wheelhouse.txt."
        ) from error
    if device == "cuda" and CUDA not in session.get_providers():
        raise _no_cuda()
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise BundleError(f"{path} carries no {METADATA_KEY} metadata; export it again.")
    try:
        card = parse_card(text)
        preprocess = PreprocessConfig.of(card.preprocess)
    except (ValueError, InputError) as error:
        raise BundleError(
            f"The {METADATA_KEY} metadata in {path} cannot be used: {error}. Export it again with "
            "this version of rsna-bundle."
        ) from error
    return Model(name=path.name, session=session, preprocess=preprocess, card=card)


def settings(threads: int = 0) -> onnxruntime.SessionOptions:
    """Return the options of every session; `threads` 0 leaves their number to ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN)
    return options


def choose_providers(device: str) -> list[Providers]:
    """Return the providers to ask for, once for each copy of the models: a GPU each, or the CPU.

    Asking for CUDA where there is none is an error.
    """
    if device != "cpu" and CUDA in onnxruntime.get_available_providers():
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # the image's CUDA libraries lie in Python packages
        return [[(CUDA, {"device_id": number}), CPU] for number in range(max(1, count_gpus()))]
    if device == "cuda":
        raise _no_cuda()
    return [[CPU]]


def _no_cuda() -> InstallError:
    return InstallError(
        f"--device cuda needs CUDA, but onnxruntime {onnxruntime.__version__} has only "
        f"{', '.join(onnxruntime.get_available_providers())} here. Choose the GPU accelerator and "
        "put an onnxruntime-gpu for the image's CUDA into wheelhouse.txt (<1.27 for CUDA 12), or "
        "say --device cpu."
    )


def agreed(cards: Sequence[Card]) -> Card:
    """Return a card whose way from images to a verdict all share; others cannot be averaged."""
    for key in ("aggregation", "output", "threshold", "prevalence", "average"):
        values = [getattr(card, key) for card in cards]
        if any(value != values[0] for value in values):
            raise UsageError(
                f"The models of the bundle differ in their {key} ({values}). Export them with one."
            )
    for card in cards:
        if not 0 < card.weight < math.inf:
            raise UsageError(
                f"A model of the bundle has the weight {card.weight}, which is not above 0. Export "
                "it with another, or leave the model out."
            )
    return cards[0]
