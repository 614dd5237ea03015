"""The hidden test set: a sample of the user's own images or phantoms, and the awkward cases."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundler import cache
from bundler.atomic import link_or_copy
from bundler.competition.screening import awkward, mixture
from bundler.competition.screening.awkward import AwkwardImage
from bundler.competition.screening.mixture import Mixture
from bundler.errors import InputError
from train.phantom.competition import TEST_COLUMNS

COLUMNS = ("prediction_id", "cancer")  # of the submission
COMPARED = 16  # images of the sample whose predictions are compared with the laptop's
# The competition's training images: about half of each.
HALVES = {"1.2.840.10008.1.2.4.90": 0.5, "1.2.840.10008.1.2.4.70": 0.5}
NEEDED = {"patient_id", "image_id", "laterality"}
# A test table may have columns that the training table lacks, and text that needs quoting.
EXTRA = {"reader_note": 'unseen column, with "quotes" and an ü'}
Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class HiddenSet:
    """A competition folder with a test set that nobody has seen, and what is known of it."""

    folder: Path
    sample: tuple[Row, ...]  # rows of images as they really come
    planted: tuple[AwkwardImage, ...]
    labels: dict[str, int]  # prediction_id → cancer, of the sample, where it is known
    source: str
    mixture: Mixture = field(default_factory=Mixture)  # of the sample's transfer syntaxes
    phantom_size: tuple[int, int] | None = None  # of those that stand for real images
    turned: bool = False  # the table begins with the last row

    @property
    def rows(self) -> list[Row]:
        """Return all rows of test.csv."""
        rows = [*self.sample, *(image.row for image in self.planted)]
        return rows[::-1] if self.turned else rows

    @property
    def breasts(self) -> list[str]:
        """Return the ids that a submission must have."""
        return list(dict.fromkeys(row["prediction_id"] for row in self.rows))

    @property
    def compared(self) -> list[Row]:
        """Return the rows to compare with the laptop: whole breasts, some ordinary, all awkward."""
        # A breast is predicted from all its images, so one that lost an image cannot be compared.
        lost = {image.row["prediction_id"] for image in self.planted if image.may_fail}
        awkward_rows = [i.row for i in self.planted if i.row["prediction_id"] not in lost]
        ordinary: list[Row] = []
        for breast in dict.fromkeys(row["prediction_id"] for row in self.sample):
            if len(ordinary) >= COMPARED:
                break
            ordinary += [row for row in self.sample if row["prediction_id"] == breast]
        return [*ordinary, *awkward_rows]

    def path(self, row: Row) -> Path:
        """Return where the image of a row lies."""
        return self.folder / "test_images" / row["patient_id"] / f"{row['image_id']}.dcm"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where ordinary images are taken from."""

    images: Path
    rows: list[Row]  # of patients whose images are there
    shares: Mapping[str, float]  # transfer syntax → its share of the hidden test's images
    text: str  # for people; {patients} is how many were taken
    phantom_size: tuple[int, int] | None = None


def write(
    folder: Path, *, patients: int, competition: Path | None, phantom_size: tuple[int, int]
) -> HiddenSet:
    """Write a hidden test set of so many patients, and the awkward cases, into `folder`."""
    images = folder / "test_images"
    images.mkdir(parents=True)
    source = _phantoms(patients, phantom_size) if competition is None else _training(competition)
    chosen = mixture.choose(source.rows, patients)
    rows = [row for row in source.rows if row["patient_id"] in chosen]
    for row in rows:
        _take(source.images, images, row)
    hidden = HiddenSet(
        folder=folder,
        sample=tuple({name: row.get(name) or "" for name in TEST_COLUMNS} for row in rows),
        planted=tuple(awkward.plant(images)),
        labels={r["prediction_id"]: int(float(r["cancer"])) for r in rows if r.get("cancer")},
        source=source.text.format(patients=len(chosen)),
        mixture=Mixture(syntaxes=mixture.syntaxes(images, rows), shares=source.shares),
        phantom_size=source.phantom_size,
    )
    write_tables(hidden)
    return hidden


def _phantoms(patients: int, size: tuple[int, int]) -> Source:
    """Return phantoms, drawn once for each number and size."""
    folder = drawn(patients, size) if patients else Path()
    return Source(
        images=folder / "test_images",
        rows=read(folder / "test.csv") if patients else [],
        shares=HALVES,
        text=f"phantoms of at most {size[0]}×{size[1]}",
        phantom_size=size,
    )


def _training(competition: Path) -> Source:
    """Return the user's own training images: those of the patients that are there."""
    images = competition / "train_images"
    present = {entry.name for entry in images.iterdir()} if images.is_dir() else set()
    rows = [row for row in read(competition / "train.csv") if row["patient_id"] in present]
    if not rows:
        raise InputError(
            f"{images} is missing or holds no patient of train.csv. Name a folder with both by "
            "--competition-dir, or leave the option out to rehearse on phantoms."
        )
    text = f"{{patients}} patients of {competition.name}'s training images"
    return Source(images=images, rows=rows, shares=mixture.survey(images, rows), text=text)


def read(path: Path) -> list[Row]:
    """Return the rows of a competition's table, each with a prediction_id. Raises InputError."""
    try:
        # Excel writes a byte order mark, which would become part of the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if missing := NEEDED - set(reader.fieldnames or ()):
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            rows = list(reader)
        for row in rows:
            row.setdefault("prediction_id", f"{row['patient_id']}_{row['laterality']}")
            float(row.get("cancer") or 0)
        return rows
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
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
    link_or_copy(path, target)


def drawn(patients: int, size: tuple[int, int]) -> Path:
    """Return a competition folder whose test images are phantoms; drawn where it is not known."""
    from bundler import atomic
    from train.phantom import write_competition

    cached = cache.folder("phantoms") / f"1-{patients}-{size[0]}x{size[1]}"
    if not cached.is_dir():
        with atomic.new_folder(cached) as folder:
            # Drawing is slow and always gives the same images, so they are kept.
            write_competition(
                folder, patients=1, test_patients=patients, prevalence=0.02, size=size, workers=2
            )
            shutil.rmtree(folder / "train_images")
    return cached


def write_tables(hidden: HiddenSet) -> None:
    """Write test.csv and sample_submission.csv."""
    _write(
        hidden.folder / "test.csv", [*TEST_COLUMNS, *EXTRA], [row | EXTRA for row in hidden.rows]
    )
    # A constant, as in Kaggle's own: a notebook that copies the sample is found out by it.
    sample = [{"prediction_id": breast, "cancer": "0.02"} for breast in hidden.breasts]
    _write(hidden.folder / "sample_submission.csv", COLUMNS, sample)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
