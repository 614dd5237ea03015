"""The hidden test set: a sample of the user's own images or phantoms, and the awkward cases."""

import csv
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import InputError
from bundler.libs import cache
from bundler.rehearse import awkward
from bundler.rehearse.awkward import Planted
from bundler.rehearse.upload import link
from train.phantom.competition import TEST_COLUMNS

EXTRA = {"reader_note": 'unseen column, with "quotes" and an ü'}
Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class HiddenSet:
    """A competition folder with a test set that nobody has seen, and what is known of it."""

    folder: Path
    sample: tuple[Row, ...]  # rows of images as they really come
    planted: tuple[Planted, ...]
    labels: dict[str, int]  # prediction_id → cancer, of the sample, where it is known
    source: str

    @property
    def rows(self) -> list[Row]:
        """Return all rows of test.csv."""
        return [*self.sample, *(image.row for image in self.planted)]

    @property
    def breasts(self) -> list[str]:
        """Return the ids that a submission must have."""
        return list(dict.fromkeys(row["prediction_id"] for row in self.rows))

    def path(self, row: Row) -> Path:
        """Return where the image of a row lies."""
        return self.folder / "test_images" / row["patient_id"] / f"{row['image_id']}.dcm"


def write(
    folder: Path, *, patients: int, competition: Path | None, phantom_size: tuple[int, int]
) -> HiddenSet:
    """Write a hidden test set of so many patients, and the awkward cases, into `folder`."""
    images = folder / "test_images"
    images.mkdir(parents=True)
    if competition is None:
        source = _phantoms(max(patients, 1), phantom_size)
        rows, labels = _read_sample(source, "test", patients) if patients else ([], {})
        part, said = "test", f"phantoms of at most {phantom_size[0]}×{phantom_size[1]}"
    else:
        source, part = competition, "train"
        rows, labels = _read_sample(source, part, patients)
        said = f"{patients} patients of {competition.name}'s training images"
    for row in rows:
        _take(source / f"{part}_images", images, row)
    planted = awkward.plant(images)
    hidden = HiddenSet(
        folder=folder, sample=tuple(rows), planted=tuple(planted), labels=labels, source=said
    )
    write_tables(hidden)
    return hidden


def _read_sample(source: Path, part: str, patients: int) -> tuple[list[Row], dict[str, int]]:
    """Choose patients by a fixed seed; return their rows and, where known, their breasts' truth."""
    path = source / f"{part}.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        ids = sorted({row["patient_id"] for row in rows})
        chosen = set(random.Random(0).sample(ids, min(patients, len(ids))))
        taken = [row for row in rows if row["patient_id"] in chosen]
        for row in taken:
            row.setdefault("prediction_id", f"{row['patient_id']}_{row['laterality']}")
        labels = {r["prediction_id"]: int(float(r["cancer"])) for r in taken if r.get("cancer")}
        return [{name: row.get(name) or "" for name in TEST_COLUMNS} for row in taken], labels
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is no table of the competition ({type(error).__name__}: {error}). Name the "
            "folder that holds train.csv and train_images with --competition-dir, or leave the "
            "option out to rehearse on phantoms."
        ) from error


def _take(source: Path, images: Path, row: Row) -> None:
    path = source / row["patient_id"] / f"{row['image_id']}.dcm"
    target = images / row["patient_id"] / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        raise InputError(
            f"{path} is missing, and train.csv names it. Name a folder with the images by "
            "--competition-dir, or leave the option out to rehearse on phantoms."
        )
    link(path, target)


def _phantoms(patients: int, size: tuple[int, int]) -> Path:
    """Return a competition folder of phantoms, drawn once for each number and size."""
    from bundler import atomic
    from train.phantom import write_competition

    place = cache.folder("phantoms") / f"1-{patients}-{size[0]}x{size[1]}"
    if not place.is_dir():
        with atomic.new_folder(place) as folder:
            write_competition(
                folder, patients=1, test_patients=patients, prevalence=0.02, size=size, workers=2
            )
            shutil.rmtree(folder / "train_images")
    return place


def write_tables(hidden: HiddenSet) -> None:
    """Write test.csv and sample_submission.csv."""
    _write(
        hidden.folder / "test.csv", [*TEST_COLUMNS, *EXTRA], [row | EXTRA for row in hidden.rows]
    )
    sample = [{"prediction_id": breast, "cancer": "0.02"} for breast in hidden.breasts]
    _write(hidden.folder / "sample_submission.csv", ["prediction_id", "cancer"], sample)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
