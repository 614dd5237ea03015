"""Out-of-fold predictions: the rows of oof.csv, read whole and checked once.

One row for each image. `fold` and `image_id` may be missing, since a threshold needs neither; the
replay of the predictions (`bundler.model.proof`) needs both.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.errors import InputError
from train import metrics
from train.errors import DataError

Floats = npt.NDArray[np.float64]
Row = Mapping[str, str]
COLUMNS = ("patient_id", "prediction_id", "target", "probability")
# What must be the same in all rows of an image.
OF_IMAGE = ("prediction_id", "fold", "target", "probability")
SHOWN = 3  # names that a message lists


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Rows of one or several oof.csv: an image each.

    `rows` hold all columns as text; `repeated` counts rows that were there before, word for word.
    """

    patients: Sequence[str]
    breasts: Sequence[str]
    labels: Floats
    probabilities: Floats
    sha256: str
    rows: Sequence[Row] = ()
    repeated: int = 0

    @property
    def folds(self) -> Sequence[str]:
        """Return each image's fold as text, "" where none is recorded."""
        return [fold_of(row) for row in self.rows]

    def leaks(self) -> list[str]:
        """Return the patients that several folds hold out: another fold trained on them."""
        first: dict[str, str] = {}
        pairs = zip(self.patients, self.folds, strict=False)
        several = {who for who, fold in pairs if first.setdefault(who, fold) != fold}
        return sorted(several)


def read(paths: Sequence[Path]) -> OutOfFold:
    """Read out-of-fold predictions. Raises InputError for what is missing or makes no sense."""
    rows: list[Row] = []
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
            rows += _rows(content, path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read: {error}.") from error
        digest.update(content)
    names = ", ".join(str(path) for path in paths)
    distinct = _distinct(rows, names)
    labels, probabilities = (_column(distinct, name, names) for name in ("target", "probability"))
    if not distinct or not 0 < labels.sum() < len(distinct):
        raise InputError(
            f"{names} holds {len(distinct)} images, {int(labels.sum())} of them with cancer: a "
            "threshold needs both kinds."
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError(f"{names} holds probabilities outside 0…1. Are they logits?")
    return OutOfFold(
        patients=[row["patient_id"] for row in distinct],
        breasts=[row["prediction_id"] for row in distinct],
        labels=labels,
        probabilities=probabilities,
        sha256=digest.hexdigest(),
        rows=distinct,
        repeated=len(rows) - len(distinct),
    )


def by_breast(oof: OutOfFold, aggregation: str) -> tuple[list[str], Floats, Floats]:
    """Return names, labels and predictions of the breasts. Raises InputError."""
    try:
        return metrics.by_breast(oof.breasts, oof.labels, oof.probabilities, aggregation)
    except DataError as error:
        raise InputError(f"The out-of-fold predictions cannot be used: {error}") from error


def fold_of(row: Row) -> str:
    """Return a row's fold as text: "1" for what pandas wrote as 1.0."""
    text = (row.get("fold") or "").strip()
    return text.removesuffix(".0")


def _rows(content: bytes, path: Path) -> list[Row]:
    """Return the rows of a table; each must have what the threshold needs."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path} lacks the column {', '.join(missing)}. It must be a table with commas and a "
            f"row for each image; --oof reads its {', '.join(COLUMNS)}."
        )
    rows: list[Row] = []
    for row in reader:
        if empty := [name for name in COLUMNS if not row[name]]:
            raise InputError(
                f"{path} is cut short or damaged: line {reader.line_num} has no {', '.join(empty)}."
            )
        rows.append(row)
    return rows


def _distinct(rows: Sequence[Row], names: str) -> list[Row]:
    """Return the rows without repetitions. Raises InputError for rows that contradict another."""
    images: dict[str, Row] = {}
    owners: dict[str, str] = {}
    distinct = []
    for row in rows:
        owner = owners.setdefault(row["prediction_id"], row["patient_id"])
        if owner != row["patient_id"]:
            raise InputError(
                f"{names}: the breast {row['prediction_id']} belongs to the patients {owner} and "
                f"{row['patient_id']}. One of both is wrong; write the table anew."
            )
        image = row.get("image_id") or ""
        known = images.setdefault(image, row) if image else row
        if known is row:
            distinct.append(row)
        elif differing := [name for name in OF_IMAGE if row.get(name) != known.get(name)]:
            name = differing[-1]
            raise InputError(
                f"{names}: the image {image} has two rows that contradict each other: {name} is "
                f"{known.get(name)} in the one and {row.get(name)} in the other. Keep the row of "
                "the fold that held the image out; where several models predicted it, average "
                "them first."
            )
    return distinct


def _column(rows: Sequence[Row], name: str, names: str) -> Floats:
    try:
        values = np.array([float(row[name]) for row in rows], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{names}: the column {name} holds more than numbers.") from error
    if not np.isfinite(values).all():
        raise InputError(f"{names}: the column {name} holds NaN or infinity.")
    return values
