"""What is inferred of a competition's folder: competitions of very different shape, and doubts."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.competition import confirm, profile
from bundler.competition.profile import Profile
from bundler.errors import CheckError, InputError, UsageError
from bundler.hidden import Hidden
from tests.bundler.competition import folders
from tests.bundler.competition.gateway import phantom

LEVELS = [f"{finding}_{level}" for finding in folders.FINDINGS for level in folders.LEVELS]
# What each of the competitions is, as a person who reads its data page would say it.
KNOWN: dict[str, dict[str, Any]] = {
    "tabular": {"id": ("id",), "targets": ("price",), "labels": ("price",), "unit": "id"},
    "images": {
        "id": ("image_id",),
        "targets": ("rust", "scab", "healthy"),
        "labels": ("label",),
        "unit": "patient_id",
        "files": (("test_images/{image_id}.png", "train_images/{image_id}.png"),),
    },
    "dicom_long": {
        "test": "test_series_descriptions.csv",
        "train": "train_series_descriptions.csv",
        "label_table": "train.csv",
        "id": ("row_id",),
        "row_id": tuple(f"{{study_id}}_{name}" for name in LEVELS),
        "labels": tuple(LEVELS),
        "unit": "study_id",
        "files": (
            (
                "test_images/{study_id}/{series_id}/*.dcm",
                "train_images/{study_id}/{series_id}/*.dcm",
            ),
        ),
    },
    "repeated": {
        "id": ("row_id",),
        "derived": (("row_id", "{StudyInstanceUID}_{prediction_type}"),),
        "repeat": (("prediction_type", ("C1", "C2", "patient_overall")),),
        "labels": ("patient_overall", "C1", "C2"),
        "unit": "StudyInstanceUID",
        "files": (
            ("test_images/{StudyInstanceUID}/*.dcm", "train_images/{StudyInstanceUID}/*.dcm"),
        ),
    },
    "long_rows": {
        "id": ("row_id",),
        "derived": (("row_id", "{study}_{finding}"),),
        "unit": "study",
        "labels": ("present",),
        "files": (("test_series/{study}/", "train_series/{study}/"),),
    },
    "masks": {
        "id": ("id",),
        "labels": ("rle",),
        "files": (("test_images/{id}.tif", "train_images/{id}.tif"),),
        "label_files": ("train_masks/{id}.png",),
    },
    "class_rows": {
        "test": "",
        "id": ("id", "class"),
        "targets": ("predicted",),
        "labels": ("segmentation",),
        "unit": "id",
        "files": (("test/{id}.png", "train/{id}.png"),),
    },
    "subtypes": {
        "test": "",
        "id": ("ID",),
        "row_id": ("{unit}_epidural", "{unit}_subdural", "{unit}_any"),
        "unit": "unit",
        "files": (("stage_2_test/{unit}.dcm", "stage_2_train/{unit}.dcm"),),
    },
    "zeros": {
        "train": "train_labels.csv",
        "id": ("BraTS21ID",),
        "unit": "BraTS21ID",
        "files": (
            ("test/{BraTS21ID}/FLAIR/*.dcm", "train/{BraTS21ID}/FLAIR/*.dcm"),
            ("test/{BraTS21ID}/T1w/*.dcm", "train/{BraTS21ID}/T1w/*.dcm"),
        ),
    },
    "series": {
        "labels": ("sii",),
        "files": (
            (
                "series_test.parquet/id={id}/part-0.parquet",
                "series_train.parquet/id={id}/part-0.parquet",
            ),
        ),
    },
    "events": {
        "submission": "submission.parquet",
        "test": "test.parquet",
        "unit": "eeg_id",
        "tables": (("test_signals.parquet", "train_signals.parquet"),),
    },
    "paths": {
        "id": ("sample_id",),
        "row_id": ("{unit}__{target_name}",),
        "unit": "unit",
        "derived": (
            ("sample_id", "{unit}__{target_name}"),
            ("image_path", "test/{unit}.jpg"),
        ),
        "labels": ("height", "target"),
        "files": (("test/{unit}.jpg", "train/{unit}.jpg"),),
    },
    "no_train": {"train": "", "id": ("id",), "targets": ("answer",), "labels": ()},
    "multi_target": {
        "id": ("text_id",),
        "targets": ("cohesion", "syntax", "grammar"),
        "labels": ("cohesion", "syntax", "grammar"),
    },
    "mammography": {
        "submission": "submission.csv",
        "sample": "sample_submission.csv",
        "test": "test.csv",
        "train": "train.csv",
        "id": ("prediction_id",),
        "targets": ("cancer",),
        "derived": (("prediction_id", "{patient_id}_{laterality}"),),
        "unit": "patient_id",
        "labels": (
            "cancer",
            "biopsy",
            "invasive",
            "BIRADS",
            "density",
            "difficult_negative_case",
        ),
        "files": (
            (
                "test_images/{patient_id}/{image_id}.dcm",
                "train_images/{patient_id}/{image_id}.dcm",
            ),
        ),
        "label_files": (),
    },
}


def read(tmp_path: Path, shape: str, hidden: Hidden | None = None) -> Profile:
    """Make a competition and read its profile."""
    root = getattr(folders, shape)(tmp_path / shape)
    return profile.read(root, hidden or Hidden())


@pytest.mark.parametrize("shape", KNOWN)
def test_understands_competitions_of_any_shape(tmp_path: Path, shape: str) -> None:
    found = read(tmp_path, shape)
    assert {key: getattr(found.hidden, key) for key in KNOWN[shape]} == KNOWN[shape]
    assert not found.questions


@pytest.mark.parametrize("shape", KNOWN)
def test_is_read_back_from_the_settings_as_it_was_written(tmp_path: Path, shape: str) -> None:
    from bundler import settings

    found = read(tmp_path, shape)
    confirm.keep(found, tmp_path / "pyproject.toml")
    loaded = settings.load(tmp_path)
    assert loaded.hidden == found.hidden
    again = profile.read(found.folder, loaded.hidden)
    assert again.confirmed
    assert again.hidden == found.hidden


def test_infers_nothing_anew_where_the_settings_say_it(tmp_path: Path) -> None:
    found = read(tmp_path, "images")
    for path in (tmp_path / "images" / "train_images").iterdir():
        path.unlink()  # by the files alone, the profile would now be another
    edited = replace(found.hidden, unit="image_id", labels=("label", "patient_id"))
    again = profile.read(found.folder, edited)
    assert again.hidden == edited
    assert again.entries_read <= len(list(found.folder.iterdir())), "a folder of files was listed"


@pytest.mark.parametrize("name", ["PatientSex", "patient_age", "StudyDate", "series_description"])
def test_what_is_said_of_a_patient_or_study_does_not_name_one(tmp_path: Path, name: str) -> None:
    root = folders.long_rows(tmp_path / "c")
    for table in ("train.csv", "test.csv"):
        rows = folders.read_csv(root / table)
        rows = [{name: ("M", "F")[n % 2]} | row for n, row in enumerate(rows)]
        folders.write_csv(root / table, rows)
    assert profile.read(root).hidden.unit == "study"


def test_says_kinds_and_numbers_of_rows(tmp_path: Path) -> None:
    text = read(tmp_path, "tabular").summary()
    assert "id (integer), price (number)" in text
    assert "test.csv, 10 rows" in text
    assert "train.csv, 60 rows" in text


def test_sees_a_gateway_and_needs_no_sample_then(tmp_path: Path) -> None:
    root = folders.no_train(tmp_path / "served")
    (root / "sample_submission.csv").unlink()
    shutil.copytree(phantom.HOST, root, dirs_exist_ok=True)
    assert profile.read(root).hidden.gateway


def test_without_a_sample_submission_it_says_what_to_do(tmp_path: Path) -> None:
    root = folders.tabular(tmp_path / "c")
    (root / "sample_submission.csv").rename(root / "example.csv")
    with pytest.raises(InputError, match=r"no sample submission.*--set sample=FILE"):
        profile.read(root)
    assert profile.read(root, Hidden(sample="example.csv")).hidden.targets == ("price",)


def test_asks_where_two_columns_could_be_the_id(tmp_path: Path) -> None:
    root = folders.tabular(tmp_path / "c")
    rows = folders.read_csv(root / "test.csv")
    rows = [row | {"house_id": f"h{row['id']}"} for row in rows]
    folders.write_csv(root / "test.csv", rows)
    sample = [{"id": r["id"], "house_id": r["house_id"], "price": 0} for r in rows]
    folders.write_csv(root / "sample_submission.csv", sample)
    found = profile.read(root)
    (question,) = [q for q in found.questions if q.key == "id"]
    assert {question.taken, *question.others} == {"id", "house_id"}
    assert "uncertain: id:" in found.summary()
    with pytest.raises(CheckError, match="--set KEY=VALUE"):
        confirm.keep(found, tmp_path / "pyproject.toml")
    assert not (tmp_path / "pyproject.toml").exists()
    decided = profile.read(root, confirm.apply(["id=house_id"], Hidden()))
    assert decided.hidden.id == ("house_id",)
    assert not [q for q in decided.questions if q.key == "id"]


def test_asks_where_the_ids_match_no_file(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    for number, path in enumerate(sorted((root / "test_images").iterdir())):
        path.rename(path.with_name(f"scan-{number}.png"))
    (question,) = profile.read(root).questions
    assert question.key == "files"
    assert "test_images holds scan-0.png, which no row names" in question.reason
    assert "test_images/{image_id}.png" in question.others


def test_asks_where_the_ids_come_from_no_column(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    sample = [{"row": f"zz{n}", "rust": 0.5} for n in range(3)]
    folders.write_csv(root / "sample_submission.csv", sample)
    assert "row_id" in {question.key for question in profile.read(root).questions}


def test_a_number_in_a_file_name_is_not_taken_for_a_column_that_happens_to_hold_it(
    tmp_path: Path,
) -> None:
    root = folders.repeated(tmp_path / "c")
    rows = folders.read_csv(root / "train.csv")
    # Slices are 1.dcm to 3.dcm, and so are ages: of other rows, though.
    folders.write_csv(root / "train.csv", [r | {"age": n + 4} for n, r in enumerate(rows)])
    (pair,) = profile.read(root).hidden.files
    assert pair[0] == "test_images/{StudyInstanceUID}/*.dcm"


def test_rows_in_a_format_that_is_not_read_are_said_to_need_a_hook(tmp_path: Path) -> None:
    folders.tabular(tmp_path)
    (tmp_path / "test.csv").rename(tmp_path / "test.json")
    (note,) = [note for note in profile.read(tmp_path).notes if "test.json" in note]
    assert "may hold the test rows, in a format that is not read here" in note
    (tmp_path / "test.json").rename(tmp_path / "test.csv")
    (tmp_path / "test_boxes.json").write_text("{}")  # beside a table, it may be anything
    assert not [note for note in profile.read(tmp_path).notes if "not read" in note]


def test_series_that_are_numbered_are_not_taken_for_labels(tmp_path: Path) -> None:
    """Each study has the series 0 and 1, and a finding that is there or is not."""
    studies = {"train": range(700, 712), "test": range(712, 714)}
    for name, numbers in studies.items():
        rows = [
            {"row_id": f"{n}_{finding}", "study": n, "finding": finding}
            | ({"present": (n + k) % 2} if name == "train" else {})
            for n in numbers
            for k, finding in enumerate(("fracture", "tumor"))
        ]
        folders.write_csv(tmp_path / f"{name}.csv", rows)
        series = (f"{name}_series/{n}/{k}" for n in numbers for k in (0, 1))
        folders.write_files(tmp_path, (f"{one}/{k}.dcm" for one in series for k in (1, 2)))
    sample = [{"row_id": row["row_id"], "present": 0.5} for row in rows]
    folders.write_csv(tmp_path / "sample_submission.csv", sample)
    found = profile.read(tmp_path)
    assert found.questions == ()
    assert found.hidden.files == (("test_series/{study}/", "train_series/{study}/"),)


def test_a_path_in_a_column_is_the_test_sets_though_the_id_names_the_file(tmp_path: Path) -> None:
    for folder, names in (("train", "abcdef"), ("test", "gh")):
        rows = [{"image_id": n, "path": f"{folder}/{n}.png", "grade": 1} for n in names]
        folders.write_csv(tmp_path / f"{folder}.csv", rows, ["image_id", "path", "grade"])
        folders.write_files(tmp_path, [str(row["path"]) for row in rows])
    folders.write_csv(
        tmp_path / "test.csv", [{"image_id": n, "path": f"test/{n}.png"} for n in "gh"]
    )
    sample = [{"image_id": n, "grade": 0} for n in "gh"]
    folders.write_csv(tmp_path / "sample_submission.csv", sample)
    assert profile.read(tmp_path).hidden.derived == (("path", "test/{image_id}.png"),)


def test_files_that_are_not_downloaded_yet_are_expected_where_training_has_them(
    tmp_path: Path,
) -> None:
    root = folders.masks(tmp_path / "c")
    for path in (root / "test_images").iterdir():
        path.unlink()
    found = profile.read(root)
    assert found.hidden.files == (("test_images/{id}.tif", "train_images/{id}.tif"),)
    assert found.hidden.label_files == ("train_masks/{id}.png",)


def test_one_folder_for_both_sets(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    (root / "train_images").rename(root / "images")
    for path in (root / "test_images").iterdir():
        path.rename(root / "images" / path.name)
    (root / "test_images").rmdir()
    assert profile.read(root).hidden.files == (("images/{image_id}.png", "images/{image_id}.png"),)


def test_channels_of_one_row_are_several_files(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    for split in ("train", "test"):
        for path in list((root / f"{split}_images").iterdir()):
            for colour in ("red", "green"):
                path.with_name(f"{path.stem}_{colour}.png").write_bytes(b"x")
            path.unlink()
    assert [test for test, _ in profile.read(root).hidden.files] == [
        "test_images/{image_id}_green.png",
        "test_images/{image_id}_red.png",
    ]


def test_a_label_in_the_path_of_training_files_is_not_expected_of_test_files(
    tmp_path: Path,
) -> None:
    root = folders.images(tmp_path / "c")
    for row in folders.read_csv(root / "train.csv"):
        path = root / "train_images" / f"{row['image_id']}.png"
        (root / "train_images" / row["label"]).mkdir(exist_ok=True)
        path.rename(root / "train_images" / row["label"] / path.name)
    expected = ("test_images/{image_id}.png", "train_images/{label}/{image_id}.png")
    assert profile.read(root).hidden.files == (expected,)


# --- large ones ---


@pytest.fixture
def entries_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names that os.scandir gave out, which this fills."""
    given: list[str] = []
    real = os.scandir

    class Counting:
        def __init__(self, path: Any) -> None:
            self.scan = real(path)

        def __enter__(self) -> "Counting":
            return self

        def __exit__(self, *_: object) -> None:
            self.scan.close()

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            entry = next(self.scan)
            given.append(entry.name)
            return entry

    monkeypatch.setattr(os, "scandir", Counting)
    return given


def test_a_folder_of_20000_files_is_sampled(tmp_path: Path, entries_read: list[str]) -> None:
    count = 20_000
    root = folders.images(tmp_path / "c", count=10)
    rows = [{"image_id": f"{n:06d}x", "patient_id": f"P{n}", "label": n % 3} for n in range(count)]
    folders.write_csv(root / "train.csv", rows)
    for row in rows:
        (root / "train_images" / f"{row['image_id']}.png").touch()
    entries_read.clear()
    found = profile.read(root)
    assert found.hidden.files == (("test_images/{image_id}.png", "train_images/{image_id}.png"),)
    assert len(entries_read) < 500, "a folder was listed whole"
    assert found.entries_read == len(entries_read)


def test_rows_of_a_few_in_a_folder_of_many(tmp_path: Path, entries_read: list[str]) -> None:
    """The public test has three rows; their files lie among those of 3,000 others."""
    root = folders.images(tmp_path / "c")
    for number in range(3_000):
        (root / "test_images" / f"other{number:05d}.png").touch()
    assert ("test_images/{image_id}.png", "train_images/{image_id}.png") in profile.read(
        root
    ).hidden.files
    assert len(entries_read) < 1000


MEMORY_LIMITED = """
import resource, sys
from pathlib import Path
from bundler.competition import profile
limit = 400 << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = profile.read(Path(sys.argv[1]))
assert found.hidden.labels == ("price",), found.hidden
assert not found.train.exact
print(found.train.rows)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by RLIMIT_AS")
def test_a_table_larger_than_memory_is_not_loaded(tmp_path: Path) -> None:
    """400 MB of table in a process that may have 400 MB in all."""
    root, rows = folders.tabular(tmp_path / "c"), 400_000
    with (root / "train.csv").open("w") as stream:
        stream.write("id,area,rooms,colour,price\n")
        for number in range(rows):
            stream.write(f"{number},{number % 977}.5,1,{'red' * 333},5\n")
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_LIMITED, str(root)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert 0.9 * rows < int(result.stdout) < 1.1 * rows, "the estimate of its rows"


def test_what_follows_from_a_unit_set_by_hand_is_inferred_anew(tmp_path: Path) -> None:
    root = folders.dicom_long(tmp_path / "c")
    first = profile.read(root)
    wrong = replace(first.hidden, tables=(), labels=())
    again = profile.read(root, confirm.apply(["unit=study_id"], wrong))
    assert again.hidden.labels == first.hidden.labels
    assert again.hidden.tables == first.hidden.tables
    kept = confirm.apply(["unit=study_id", "labels=x"], wrong)
    assert kept.labels == ("x",)


@pytest.mark.parametrize("option", ["unit=nope", "id=image", "targets=price,prise"])
def test_a_column_that_no_table_has_is_refused(tmp_path: Path, option: str) -> None:
    root = folders.tabular(tmp_path / "c")
    with pytest.raises(UsageError, match="no table has such a column"):
        profile.read(root, confirm.apply([option], Hidden()))
