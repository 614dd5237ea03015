"""Which out-of-fold rows are replayed, and the DICOM files that they were predicted from.

Few images must show much: of each machine, from the lowest recorded probability to the highest.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.model.out_of_fold import OutOfFold, Row, fold_of
from inference import metadata
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig

Floats = npt.NDArray[np.float64]
IMAGES = 16  # of a fold
SUFFIXES = (".dcm", ".dicom")
# What sets images apart that one mistake may concern and another not, e.g. inverted ones.
GROUPS = ("site_id", "machine_id")
TABLE = "train.csv"  # of the competition, beside its folder of images


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images of one fold: their files, what was recorded of them, their columns for the model."""

    fold: str
    paths: tuple[Path, ...]
    recorded: Floats
    metadata: npt.NDArray[np.float32] | None

    def only(self, indices: npt.NDArray[np.intp]) -> "Sample":
        """Return some of the images."""
        return Sample(
            fold=self.fold,
            paths=tuple(self.paths[index] for index in indices),
            recorded=self.recorded[indices],
            metadata=None if self.metadata is None else self.metadata[indices],
        )


@dataclass(frozen=True, kw_only=True)
class Files:
    """The DICOM files of a folder, by their names without an ending."""

    folder: Path
    paths: Mapping[str, Sequence[Path]]

    def of(self, row: Row) -> Path | None:
        """Return an image's file: of two of one name the one in its patient's folder."""
        paths = self.paths.get(row.get("image_id") or "", ())
        own = [path for path in paths if path.parent.name == row["patient_id"]]
        return next(iter([*own, *paths]), None)


def index(folder: Path) -> Files:
    """Look a folder through once."""
    paths: dict[str, list[Path]] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES:
                paths.setdefault(stem, []).append(Path(parent, name))
    return Files(folder=folder, paths=paths)


def draw(oof: OutOfFold, fold: str, files: Files, columns: Sequence[str]) -> Sample | None:
    """Choose rows of a fold whose images are there; None where none is.

    `columns` of the table are encoded as the model gets them.
    """
    own = [row for row in oof.rows if fold_of(row) == fold and files.of(row)]
    chosen = _choose(own)
    if not chosen:
        return None
    pairs = [(row, path) for row in chosen if (path := files.of(row))]
    encoded = [metadata.encode(row, columns) for row, _ in pairs]
    return Sample(
        fold=fold,
        paths=tuple(path for _, path in pairs),
        recorded=np.array([float(row["probability"]) for row, _ in pairs], dtype=np.float64),
        metadata=np.stack(encoded) if columns else None,
    )


def prepare(
    sample: Sample, config: PreprocessConfig
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]]:
    """Return uint8 [N, H, W] and the indices [N] of the sample's images that can be read."""
    images, read = [], []
    for number, path in enumerate(sample.paths):
        try:
            images.append(load(path, [config]).inputs[0])
        except ImageError:
            continue  # its fallback on the notebook is another matter than what the model says
        read.append(number)
    pixels = np.stack(images) if images else np.empty((0, *config.size), np.uint8)
    return pixels, np.array(read, dtype=np.intp)


def _choose(rows: Sequence[Row]) -> list[Row]:
    """Return up to `IMAGES` rows, taking turns among the groups."""
    groups: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in GROUPS), []).append(row)
    turns = zip_longest(*(_spread(group) for _, group in sorted(groups.items(), key=_by_text)))
    return [row for turn in turns for row in turn if row is not None][:IMAGES]


def _by_text(item: tuple[tuple[str | None, ...], list[Row]]) -> str:
    return str(item[0])


def _spread(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows so that the first few span the probabilities: ends first, then between."""
    left = sorted(rows, key=lambda row: (float(row["probability"]), row.get("image_id") or ""))
    low, high = float(left[0]["probability"]), float(left[-1]["probability"])
    # 1, 0, 1/2, 1/4, 3/4, …: each halves what is still empty.
    shares = [1.0, 0.0]
    shares += [odd / 2**level for level in range(1, 6) for odd in range(1, 2**level, 2)]
    for share in shares:
        if not left:
            return
        wanted = low + share * (high - low)
        nearest = min(range(len(left)), key=lambda n: abs(float(left[n]["probability"]) - wanted))
        yield left.pop(nearest)
