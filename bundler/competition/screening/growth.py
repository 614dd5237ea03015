"""A hidden test of another size: the images of a first one among many small phantoms.

What grows with the number of images (memory that is never freed, files that are never closed, a
loop over all images for each of them) grows with small ones as well, and these take a millisecond
each. How long a real image takes is measured on those of the first hidden test.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

from bundler.atomic import link_or_copy
from bundler.competition.screening import hidden_test
from bundler.competition.screening.hidden_test import HiddenSet, Row

SIZE = (160, 128)  # height, width of the largest: as small as every decoder takes
PATIENTS = 6  # that are drawn, with some thirty images of all machines; the rest are copies
FIRST = 9_000_000  # number of the first patient: no id of the other images is as high
KEPT = 64  # ordinary images of the first hidden test: enough to compare, few enough to be quick


def write(hidden: HiddenSet, folder: Path, size: int) -> HiddenSet:
    """Write a hidden test of `size` images into `folder`, in the opposite order.

    The awkward images are always among them, and whole patients of the ordinary ones.
    """
    sample = _whole_patients(hidden, min(KEPT, size - len(hidden.planted)))
    for row in [*sample, *(image.row for image in hidden.planted)]:
        if (source := hidden.path(row)).is_file():
            _link(source, folder / source.relative_to(hidden.folder))
    added = _phantoms(folder, size - len(sample) - len(hidden.planted))
    grown = HiddenSet(
        folder=folder,
        sample=(*sample, *added),
        planted=hidden.planted,
        labels={},
        source=f"{hidden.source} and {len(added)} phantoms of at most {SIZE[0]}×{SIZE[1]}",
        turned=True,
    )
    hidden_test.write_tables(grown)
    return grown


def _whole_patients(hidden: HiddenSet, most: int) -> list[Row]:
    """Return the ordinary rows of as many patients as have no more than so many images."""
    rows: list[Row] = []
    for _, own in itertools.groupby(hidden.sample, key=lambda row: row["patient_id"]):
        patient = list(own)
        if len(rows) + len(patient) > most:
            break
        rows += patient
    return rows


def _phantoms(folder: Path, count: int) -> list[Row]:
    """Link `count` small phantoms into the folder, under ids of their own; return their rows."""
    drawn = hidden_test.drawn(PATIENTS, SIZE)
    rows = list(itertools.islice(_copies(hidden_test.read(drawn / "test.csv")), max(count, 0)))
    for original, row in rows:
        _link(_path(drawn, original), _path(folder, row))
    return [row for _, row in rows]


def _copies(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield (row, copy of it) again and again, each time as other patients."""
    patients = {name: number for number, name in enumerate(dict.fromkeys(_patients(rows)))}
    for turn in itertools.count():
        for number, row in enumerate(rows):
            patient = str(FIRST + turn * len(patients) + patients[row["patient_id"]])
            yield (
                row,
                row
                | {
                    "patient_id": patient,
                    "image_id": str(FIRST + turn * len(rows) + number),
                    "prediction_id": f"{patient}_{row['laterality']}",
                },
            )


def _patients(rows: list[Row]) -> list[str]:
    return [row["patient_id"] for row in rows]


def _path(folder: Path, row: Row) -> Path:
    return folder / "test_images" / row["patient_id"] / f"{row['image_id']}.dcm"


def _link(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, path)
