"""Golden cases: what the laptop made of a few small files, replayed where the submission runs.

The model bundle carries small DICOMs with the hash of their prepared pixels, rows of the table
with the numbers that they became, and prepared images with their predictions and logits. Another
decoder, another preprocessing or another runtime changes numbers without raising anything; here it
is caught before the first image of the test set. `rsna-bundle model` makes the cases
(bundler.model.golden).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from inference import metadata
from inference.boot.bundle import Bundle
from inference.boot.card import GoldenDicom, GoldenPrediction, GoldenRow, Tolerance
from inference.errors import BundleError
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded
from inference.pixels.preprocess import PreprocessConfig
from inference.predict import CPU, Model
from inference.workers import WORTH_A_SECOND_TRY, Result, Task, Workers, load_all

Stage = Literal["reading", "pixels", "metadata", "logits", "probabilities"]
_OTHER_CODE = (
    "Bundle the code that the model was exported with, or export the model again with this code."
)
_OTHER_RUNTIME = (
    "Put the onnxruntime that the model was exported with into wheelhouse.txt, or use --device cpu."
)
REMEDIES: Mapping[Stage, str] = {
    "reading": "The images of the test set could not be read either. Put the decoder that is "
    "missing into wheelhouse.txt.",
    "pixels": "The decoder or the preprocessing differs, and predictions on such pixels mean "
    f"nothing. {_OTHER_CODE}",
    "metadata": f"The encoding of the table's columns differs. {_OTHER_CODE}",
    "logits": f"The runtime computes something else. {_OTHER_RUNTIME}",
    "probabilities": f"The runtime computes something else. {_OTHER_RUNTIME}",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One case whose replay differs from the laptop: at which stage, and how."""

    stage: Stage
    text: str


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay compared; `decoders`: a DICOM file of the bundle → what decoded it here."""

    decoders: Mapping[str, str]
    rows: int
    predictions: int
    logits: bool

    def summary(self) -> str:
        """Return a line for the log."""
        decoded = ", ".join(f"{file} by {decoder}" for file, decoder in self.decoders.items())
        return (
            f"golden {len(self.decoders)} DICOM files, {self.rows} rows of a table and "
            f"{self.predictions} predictions {'with their logits ' if self.logits else ''}"
            f"are as on the laptop ({decoded})"
        )


def replay(bundle: Bundle, models: Sequence[Model], decoding: Workers) -> Replayed:
    """Repeat a verified model bundle's golden cases: on its open models, and in a decoding process.

    Raises BundleError that names each case where a number differs from the laptop's by more than
    its tolerance. A bundle without cases is refused, too: nothing would be known of its numbers.
    """
    golden = bundle.model.golden
    if not golden.dicoms:
        raise BundleError(
            f"The model bundle {bundle.id[:12]} carries no golden cases, so nothing proves that "
            "its numbers are the same here. Export it again with this version of rsna-bundle."
        )
    # Compiling a decoder takes a process a second or two: the models answer in the meantime.
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(_load_dicoms, bundle, models, decoding)
        differences = [*_compare_rows(golden.rows, models)]
        for case in golden.predictions:
            differences += _compare_predictions(bundle, case, models)
        results = loading.result()
    for dicom, result in zip(golden.dicoms, results, strict=True):
        differences[:0] = _compare_pixels(dicom, result, models)
    if differences:
        raise BundleError(_explain(bundle, differences))
    loaded = zip(golden.dicoms, results, strict=True)
    return Replayed(
        decoders={dicom.file: _decoder(result) for dicom, result in loaded},
        rows=len(golden.rows),
        predictions=sum(len(case.probabilities) for case in golden.predictions),
        logits=all(case.logits for case in golden.predictions),
    )


def fingerprint(pixels: npt.NDArray[np.uint8]) -> str:
    """Return the sha256 of prepared pixels, uint8 [H, W], and of their shape."""
    shape = "×".join(str(side) for side in pixels.shape)
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def configs_of(
    dicom: GoldenDicom, configs: Sequence[PreprocessConfig]
) -> tuple[PreprocessConfig, ...]:
    """Return how a golden DICOM is prepared for models with these configurations."""
    if dicom.size is None:
        return tuple(configs)
    return tuple(replace(config, size=dicom.size) for config in configs)


# --- pixels ---


def _load_dicoms(bundle: Bundle, models: Sequence[Model], decoding: Workers) -> list[Result]:
    """Return what becomes of each DICOM file in a decoding process, as of the test set's."""
    configs = [model.preprocess for model in models]
    tasks = [
        Task(
            key=key,
            path=bundle.path(dicom.file),
            configs=configs_of(dicom, configs),
            at_once=dicom.at_once,
        )
        for key, dicom in enumerate(bundle.model.golden.dicoms)
    ]
    # Those that compile come first: another process has the others in the meantime.
    tasks.sort(key=lambda task: not task.at_once)
    results = {result.key: result for result in load_all(decoding, tasks)}
    # A process that such a decoder ends is replaced, and images get a second try without it.
    again = [replace(task, at_once=False) for task in tasks if _ended(task, results[task.key])]
    results |= {result.key: result for result in load_all(decoding, again)}
    return [results[key] for key in range(len(tasks))]


def _ended(task: Task, result: Result) -> bool:
    loaded = result.loaded
    return task.at_once and isinstance(loaded, ImageError) and loaded.kind in WORTH_A_SECOND_TRY


def _compare_pixels(
    dicom: GoldenDicom, result: Result, models: Sequence[Model]
) -> Iterator[Difference]:
    about = f"{dicom.file} ({dicom.exercises})" if dicom.exercises else dicom.file
    if isinstance(result.loaded, ImageError):
        yield Difference(stage="reading", text=f"{about} cannot be read here: {result.loaded}")
        return
    loaded: Loaded = result.loaded
    for model, pixels in zip(models, loaded.inputs, strict=True):
        if fingerprint(pixels) != dicom.prepared.get(model.name):
            yield Difference(
                stage="pixels",
                text=f"{about}, prepared for {model.name}, has other pixels here than on the "
                f"laptop (transfer syntax {loaded.transfer_syntax}, decoded by {loaded.decoder})",
            )


def _decoder(result: Result) -> str:
    return "" if isinstance(result.loaded, ImageError) else result.loaded.decoder


# --- metadata ---


def _compare_rows(rows: Sequence[GoldenRow], models: Sequence[Model]) -> Iterator[Difference]:
    for row in rows:
        columns = dict.fromkeys(name for model in models for name in model.metadata_columns)
        differences = [text for name in columns if (text := _compare_column(row, name))]
        yield from (Difference(stage="metadata", text=text) for text in differences)
        for model in models if not differences else ():
            expected = [row.encoded[name] for name in model.metadata_columns]
            encoded = metadata.encode(row.columns, model.metadata_columns)
            if not np.array_equal(encoded, np.asarray(sum(expected, ()), np.float32)):
                text = f"the columns of {model.name} are encoded in another order"
                yield Difference(stage="metadata", text=text)


def _compare_column(row: GoldenRow, name: str) -> str | None:
    """Return how the encoding of a row's column differs, or None."""
    expected = np.asarray(row.encoded.get(name, ()), dtype=np.float32)
    known = name in metadata.WIDTHS
    encoded = metadata.encode(row.columns, [name]) if known else np.empty(0, np.float32)
    if known and np.array_equal(encoded, expected):
        return None
    value = repr(row.columns[name]) if name in row.columns else "where it is missing"
    return (
        f"the column {name}, {value}, becomes {_listed(encoded)} here and {_listed(expected)} on "
        "the laptop"
    )


def _listed(values: npt.NDArray[np.float32]) -> str:
    return ", ".join(f"{value:.6g}" for value in values) or "nothing"


# --- predictions ---


def _compare_predictions(
    bundle: Bundle, case: GoldenPrediction, models: Sequence[Model]
) -> Iterator[Difference]:
    """Yield the first of probabilities and logits that differs: the one follows from the other."""
    (model,) = (model for model in models if model.name == case.model)
    images = np.load(bundle.path(case.images), allow_pickle=False)
    rows = None if case.metadata is None else np.asarray(case.metadata, dtype=np.float32)
    probabilities, logits = [], []
    for i in range(len(images)):
        inputs = images[i : i + 1], None if rows is None else rows[i : i + 1]
        if case.logits:
            answer = model.answer(*inputs)
            probabilities.append(answer[0])
            logits.append(answer[1])
        else:  # of a bundle from before logits were recorded
            probabilities.append(model.predict(*inputs))
    compared: list[tuple[Stage, npt.NDArray[np.float64], float]] = []
    off = np.abs(np.concatenate(probabilities).astype(np.float64) - case.probabilities)
    compared.append(("probabilities", off, _allowed(case.tolerance, model)))
    if case.logits and case.logit_tolerance:
        expected = np.asarray(case.logits)
        off = np.abs(np.concatenate(logits).astype(np.float64) - expected)
        share = off / np.maximum(1.0, np.abs(expected))
        compared.append(("logits", share.max(axis=1), _allowed(case.logit_tolerance, model)))
    for stage, off, allowed in compared:
        if not bool(off.max() <= allowed):  # NaN is refused, too
            yield Difference(stage=stage, text=_describe(model, stage, off, allowed))
            return


def _allowed(tolerance: Tolerance, model: Model) -> float:
    return tolerance.cpu if model.providers == [CPU] else tolerance.other


def _describe(model: Model, stage: Stage, off: npt.NDArray[np.float64], allowed: float) -> str:
    hidden = ", which its probability hides," if stage == "logits" else ""
    unit = "in its logit (or of it, beyond 1)" if stage == "logits" else "in probability"
    return (
        f"{model.name} predicts something else than on the laptop: off by {off.max():.2g} {unit}"
        f"{hidden} on golden image {int(off.argmax())} of {len(off)} ({allowed:g} is allowed on "
        f"{', '.join(model.providers)})"
    )


def _explain(bundle: Bundle, differences: Sequence[Difference]) -> str:
    """Return the message: each case that differs, by stage, and what to do for each stage."""
    lines = [f"Golden cases of the model bundle {bundle.id[:12]} differ here from the laptop."]
    for stage, remedy in REMEDIES.items():
        own = [one for one in differences if one.stage == stage]
        lines += [f"{stage}: {one.text}." for one in own]
        lines += [remedy] if own else []
    return "\n".join(lines)
