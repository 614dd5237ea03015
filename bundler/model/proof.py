"""Proof: does the exported file repeat what the user's own model predicted out of fold?

The comparison with torch shows only that the file computes what this program took the network for.
Here DICOM files of the out-of-fold rows are read, prepared and predicted by the exported file, each
by the member that did not train on it, and compared with the probabilities in the table.
"""

import csv
import os
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime

from bundler.errors import CheckError
from bundler.model import agreement, diagnosis, sampling
from bundler.model.agreement import Limits
from bundler.model.diagnosis import Case
from bundler.model.ensemble import Ensemble
from bundler.model.out_of_fold import OutOfFold, Row
from bundler.model.sampling import Files, Sample
from bundler.progress import Progress
from inference import predict
from inference.boot.card import FoldProof, Proof

T = TypeVar("T", Proof, FoldProof)
BATCH = 2  # images of a call
MOST_AT_ONCE = 4  # calls, each on one thread, so that other machines add up in the same order


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A proof, or why there is none although the user gave what it takes ("" where not)."""

    proof: Proof | None = None
    reason: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what to warn of: a replay that was asked for and is not possible."""
        if not self.reason:
            return ()
        return (f"The out-of-fold predictions could not be replayed: {self.reason}.",)


class _UnprovableError(Exception):
    """Why nothing can be replayed, as a message that ends without a full stop."""


def prove(
    ensemble: Ensemble,
    path: Path,
    oof: OutOfFold | None,
    images: Path | None,
    limits: Limits,
    progress: Progress,
    shared: Container[int | None] = (),
) -> Proven:
    """Replay out-of-fold rows on an exported file. Raises CheckError where it disagrees.

    `shared` are the folds that other files of the bundle hold, too: rows of a blend prove none.
    """
    if oof is None or images is None:
        return Proven()
    progress.step(f"{path.name}: replay out-of-fold predictions")
    try:
        source = _find(ensemble, oof, images, shared)
        cases = [_replay(ensemble, path, source, fold) for fold in _folds(ensemble)]
    except _UnprovableError as error:
        return Proven(reason=str(error))
    wrong = [case for case in cases if not _agrees(case, limits)]
    undecided = [case for case in cases if not agreement.decides(case.recorded)]
    if undecided and not wrong:
        return Proven(
            reason=f"the {len(undecided[0].recorded)} readable images of fold "
            f"{undecided[0].sample.fold} have recorded probabilities that are too few or too alike "
            "to show anything"
        )
    if wrong:
        progress.step(f"{path.name}: look for why the recorded predictions are not repeated")
        samples = [sample for fold in source.folds if (sample := source.draw(fold)) is not None]
        raise CheckError(_explain(ensemble, cases, wrong, samples, limits))
    recorded, replayed = (
        np.concatenate([getattr(case, name) for case in cases]) for name in ("recorded", "replayed")
    )
    whole = agreement.measure(recorded, replayed)
    folds = tuple(_rounded(_of_case(case)) for case in cases)
    proof = Proof(**vars(whole), tolerance=limits.largest, folds=folds)
    return Proven(proof=_rounded(proof))


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Out-of-fold rows with all columns that the model gets, and the files of their images."""

    oof: OutOfFold
    files: Files
    columns: Sequence[str]

    @property
    def folds(self) -> list[str]:
        """Return the folds that the rows name."""
        return sorted(set(self.oof.folds))

    def draw(self, fold: str) -> Sample | None:
        """Return a sample of a fold's images; None where none of its files is there."""
        return sampling.draw(self.oof, fold, self.files, self.columns)


def _find(
    ensemble: Ensemble, oof: OutOfFold, images: Path, shared: Container[int | None]
) -> _Source:
    """Return what can be replayed. Raises _UnprovableError."""
    unnamed = [one.path.name for one in ensemble.folds if one.fold is None]
    if unnamed or not all(oof.folds):
        which = f"{', '.join(unnamed)} does not say its fold" if unnamed else "a row has no fold"
        raise _UnprovableError(f"{which}, so nobody knows which images it was not trained on")
    several = [str(one.fold) for one in ensemble.folds if one.fold in shared]
    if several:
        raise _UnprovableError(
            f"several files of the bundle hold the fold {', '.join(several)}, and the rows are of "
            "one of them or of their blend; export each alone to prove it"
        )
    if "image_id" not in oof.rows[0]:
        raise _UnprovableError("the out-of-fold rows have no column image_id")
    columns = ensemble.recipe.metadata_columns
    rows = _with_columns(oof, columns, images)
    return _Source(oof=rows, files=sampling.index(images), columns=columns)


def _folds(ensemble: Ensemble) -> list[str]:
    return sorted({str(one.fold) for one in ensemble.folds})


def _replay(ensemble: Ensemble, path: Path, source: _Source, fold: str) -> Case:
    """Return what the members of a fold answer to its images. Raises _UnprovableError."""
    sample = source.draw(fold)
    if sample is None:
        raise _UnprovableError(
            f"no image of the out-of-fold rows of fold {fold} lies in {source.files.folder} as "
            "IMAGE_ID.dcm"
        )
    pixels, read = sampling.prepare(sample, ensemble.recipe.preprocess)
    if not len(read):
        raise _UnprovableError(f"none of the images of fold {fold} can be read")
    sample = sample.only(read)
    numbers = [number for number, one in enumerate(ensemble.folds) if str(one.fold) == fold]
    return Case(
        members=tuple(ensemble.folds[number] for number in numbers),
        sample=sample,
        replayed=_answer(path, pixels, sample.metadata, numbers),
    )


def _answer(
    path: Path,
    pixels: npt.NDArray[np.uint8],
    inputs: npt.NDArray[np.float32] | None,
    members: Sequence[int],
) -> npt.NDArray[np.float64]:
    """Return the mean probabilities [N] of some members for uint8 [N, H, W], by the file."""
    one_thread = predict.settings(threads=1)
    session = onnxruntime.InferenceSession(path, one_thread, providers=[predict.CPU])

    def answer(part: slice) -> npt.NDArray[np.float32]:
        feed: dict[str, npt.NDArray[Any]] = {"image": pixels[part, None]}
        if inputs is not None:
            feed["metadata"] = inputs[part]
        (folds,) = session.run(["folds"], feed)
        mean: npt.NDArray[np.float32] = np.asarray(folds)[:, members].mean(axis=1)
        return mean

    parts = [slice(start, start + BATCH) for start in range(0, len(pixels), BATCH)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_ONCE)) as pool:
        return np.concatenate(list(pool.map(answer, parts))).astype(np.float64)


def _with_columns(oof: OutOfFold, columns: Sequence[str], images: Path) -> OutOfFold:
    """Return the rows with the columns that the model gets. Raises _UnprovableError."""
    missing = [name for name in columns if name not in oof.rows[0]]
    if not missing:
        return oof
    for folder in (images, images.parent):
        if (folder / sampling.TABLE).is_file():
            table = _read_table(folder / sampling.TABLE)
            if all(name in row for row in table.values() for name in missing):
                empty: Row = {}
                joined = [
                    {**table.get(row.get("image_id") or "", empty), **row} for row in oof.rows
                ]
                return replace(oof, rows=joined)
    raise _UnprovableError(
        f"the model gets {', '.join(missing)} beside the pixels, which the out-of-fold rows lack "
        f"and no {sampling.TABLE} beside {images} has"
    )


def _read_table(path: Path) -> Mapping[str, Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return {row.get("image_id") or "": row for row in csv.DictReader(stream)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _UnprovableError(f"{path} cannot be read: {error}") from error


def _agrees(case: Case, limits: Limits) -> bool:
    if not agreement.decides(case.recorded):
        return case.agreement.largest <= limits.largest
    return limits.allows(case.agreement, float(case.recorded.std()))


def _of_case(case: Case) -> FoldProof:
    return FoldProof(**vars(case.agreement), fold=case.sample.fold, member=case.names)


def _rounded(proof: T) -> T:
    """Return few digits, so that equal exports stay equal on another machine."""
    return replace(
        proof,
        largest=float(f"{proof.largest:.1g}"),
        mean=float(f"{proof.mean:.1g}"),
        correlation=None if proof.correlation is None else round(proof.correlation, 3),
        rank_agreement=None if proof.rank_agreement is None else round(proof.rank_agreement, 3),
    )


def _explain(
    ensemble: Ensemble,
    cases: Sequence[Case],
    wrong: Sequence[Case],
    samples: Sequence[Sample],
    limits: Limits,
) -> str:
    """Return the message: the numbers of each fold, the likeliest cause and what would agree."""
    lines = [
        f"fold {case.sample.fold} ({case.names}): {len(case.recorded)} images, "
        f"{agreement.describe(case.agreement)}{'' if case in wrong else ': agrees'}"
        for case in cases
    ]
    others = [sample for sample in samples if sample.fold != wrong[0].sample.fold]
    return "\n".join(
        [
            f"{ensemble.file} does not repeat the out-of-fold predictions that --oof records; "
            f"{limits}. Nothing was written.",
            *lines,
            diagnosis.explain(ensemble, wrong[0], others, limits),
        ]
    )
