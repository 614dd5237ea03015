"""Hidden tests of competitions of any shape: right rows and files, and no answer anywhere."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.competition import handover, profile, tables
from bundler.competition.tables import Plan, TableSet
from bundler.competition.templates import render
from bundler.errors import CheckError, InputError, UsageError
from bundler.hidden import Hidden
from tests.bundler.competition import folders
from tests.bundler.competition.test_profile import KNOWN

LEARNED = [shape for shape in KNOWN if shape != "no_train"]


def deal(tmp_path: Path, shape: str, plan: Plan, name: str = "hidden") -> TableSet:
    """Make a competition, if it is not there, and a hidden test of it."""
    root = tmp_path / shape
    if not root.exists():
        getattr(folders, shape)(root)
    return tables.write(tmp_path / name, profile.read(root), plan)


def read(path: Path) -> list[dict[str, str]]:
    """Return a table's rows as text, csv or parquet."""
    if path.suffix == ".csv":
        return folders.read_csv(path)
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    return [{name: str(cell) for name, cell in row.items()} for row in rows]


def columns(path: Path) -> list[str]:
    """Return a table's columns."""
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return next(csv.reader(stream))
    import pyarrow.parquet

    return list(pyarrow.parquet.read_schema(path).names)


def files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("shape", KNOWN)
def test_looks_like_the_public_test(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape, Plan(units=4))
    root, own = tmp_path / shape, made.profile.hidden
    for name in filter(None, (own.sample, own.test, *dict(own.tables))):
        assert columns(made.folder / name) == columns(root / name), name
    if own.sample.endswith(".parquet"):
        import pyarrow.parquet

        public = pyarrow.parquet.read_schema(root / own.sample)
        assert pyarrow.parquet.read_schema(made.folder / own.sample).equals(public)
    sample, public_sample = read(made.folder / own.sample), read(root / own.sample)
    ids = [",".join(row[name] for name in own.id) for row in sample]
    assert ids == list(made.ids)
    assert len(set(ids)) == len(ids) >= 4
    for target in own.targets:  # as the public one has it: 0.5 stays 0.5, 0 stays 0
        assert {row[target] for row in sample} <= {row[target] for row in public_sample}


@pytest.mark.parametrize("shape", LEARNED)
def test_no_answer_reaches_the_notebook(tmp_path: Path, shape: str) -> None:
    """Whatever lies in the folder: no row, path or content of a hidden unit beside its test row."""
    made = deal(tmp_path, shape, Plan(units=3))
    own = made.profile.hidden
    sources = {unit.source for unit in made.dealt}
    test_files = {file.path for unit in made.dealt for file in unit.files}
    for path in files(made.folder):
        name = path.relative_to(made.folder).as_posix()
        if name in (own.test, own.sample, *dict(own.tables)):
            assert not set(columns(path)) & (set(own.labels) - set(own.targets)), name
            continue
        if name in test_files:
            continue
        parts = {piece for part in name.split("/") for piece in (part, part.partition(".")[0])}
        assert not parts & sources, f"{name} is a hidden unit's file"
        if path.suffix in (".csv", ".parquet"):
            for row in read(path):
                known = {
                    cell for value in row.values() for cell in (value, value.rsplit("_", 1)[0])
                }
                assert not known & sources, f"{name} has a row of a hidden unit: {row}"
    test = {path for path in test_files if "mask" in path or "label" in path}
    assert not test


@pytest.mark.parametrize("shape", LEARNED)
def test_rows_that_are_not_hidden_are_handed_over(tmp_path: Path, shape: str) -> None:
    """A notebook may learn from the training rows, on Kaggle as here."""
    made = deal(tmp_path, shape, Plan(units=3))
    own = made.profile.hidden
    public, given = read(tmp_path / shape / own.train), read(made.folder / own.train)
    assert columns(made.folder / own.train) == columns(tmp_path / shape / own.train)
    assert 0 < len(given) < len(public)
    assert all(row in public for row in given)


@pytest.mark.parametrize("shape", ["images", "dicom_long", "masks", "zeros", "mammography"])
def test_training_files_of_others_are_there_by_links(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape, Plan(units=2))
    shown = {path.relative_to(made.folder) for path in files(made.folder)}
    trains = [path for path in shown if "train" in str(path) and path.suffix != ".csv"]
    assert trains
    for path in trains:
        assert (made.folder / path).samefile(tmp_path / shape / path)


@pytest.mark.parametrize("shape", LEARNED)
def test_each_unit_has_its_own_files(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape, Plan(units=3, awkward=False))
    for unit in made.dealt:
        for file in unit.files:
            path = made.folder / file.path
            assert file.source is not None
            assert path.samefile(file.source), "it was copied"
            own = [unit.source, *(name for ids in unit.ids for name in ids)]
            content = path.read_bytes().decode(errors="replace")
            assert path.suffix == ".parquet" or any(name in content for name in own)
        assert bool(unit.files) == bool(made.profile.hidden.files)


TRUTH = {  # shape → (the label of an id by the training tables, one of the ids)
    "tabular": lambda root, name: {"price": one(root / "train.csv", "id", name)["price"]},
    "images": lambda root, name: {
        kind: str(int(one(root / "train.csv", "image_id", name)["label"] == kind))
        for kind in ("rust", "scab", "healthy")
    },
    "dicom_long": lambda root, name: {
        grade: str(int(one(root / "train.csv", "study_id", name[:4])[name[5:]] == text))
        for grade, text in zip(
            ("normal_mild", "moderate", "severe"),
            ("Normal/Mild", "Moderate", "Severe"),
            strict=True,
        )
    },
    "repeated": lambda root, name: {
        "fractured": one(root / "train.csv", "StudyInstanceUID", name.split("_")[0])[
            name.split("_", 1)[1]
        ]
    },
    "long_rows": lambda root, name: {"present": one(root / "train.csv", "row_id", name)["present"]},
    "paths": lambda root, name: {"target": one(root / "train.csv", "sample_id", name)["target"]},
    "masks": lambda root, name: {"rle": one(root / "train.csv", "id", name)["rle"]},
    "class_rows": lambda root, name: {
        "predicted": next(
            row["segmentation"]
            for row in read(root / "train.csv")
            if f"{row['id']},{row['class']}" == name
        )
    },
    "subtypes": lambda root, name: {"Label": one(root / "stage_2_train.csv", "ID", name)["Label"]},
    "zeros": lambda root, name: {
        "MGMT_value": one(root / "train_labels.csv", "BraTS21ID", name)["MGMT_value"]
    },
    "series": lambda root, name: {"sii": one(root / "train.csv", "id", name)["sii"]},
    "events": lambda root, name: {"target": one(root / "train.parquet", "eeg_id", name)["target"]},
    "multi_target": lambda root, name: {
        key: one(root / "train.csv", "text_id", name)[key]
        for key in ("cohesion", "syntax", "grammar")
    },
    "mammography": lambda root, name: {
        "cancer": one(root / "train.csv", "patient_id", name.split("_")[0])["cancer"]
    },
}


def one(path: Path, column: str, value: str) -> dict[str, str]:
    """Return the first row that has a value in a column."""
    return next(row for row in read(path) if row[column] == value)


@pytest.mark.parametrize("shape", LEARNED)
def test_knows_the_right_answers(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape, Plan(units=4, awkward=False))
    assert set(made.labels) == set(made.ids)
    for name, known in made.labels.items():
        assert known == TRUTH[shape](tmp_path / shape, name)


@pytest.mark.parametrize("shape", KNOWN)
def test_equal_plans_make_equal_hidden_tests(tmp_path: Path, shape: str) -> None:
    plan = Plan(units=3, twins=1)
    one, other = deal(tmp_path, shape, plan, "one"), deal(tmp_path, shape, plan, "other")
    assert one.ids == other.ids
    first, second = (list(files(made.folder)) for made in (one, other))
    assert [p.relative_to(one.folder) for p in first] == [
        p.relative_to(other.folder) for p in second
    ]
    for path, same in zip(first, second, strict=True):
        assert path.read_bytes() == same.read_bytes()


@pytest.mark.parametrize("shape", KNOWN)
def test_a_larger_one_has_all_units_of_the_smaller(tmp_path: Path, shape: str) -> None:
    small = deal(tmp_path, shape, Plan(units=2), "small")
    large = deal(tmp_path, shape, Plan(units=5, order=7, twins=2), "large")
    assert {u.name for u in small.ordinary} < {u.name for u in large.ordinary}
    again = {unit.name: unit for unit in large.ordinary}
    for unit in small.ordinary:
        key = sorted(map(str, unit.rows))
        assert sorted(map(str, again[unit.name].rows)) == key, "the same rows, in whatever order"
    shared = [name for name in large.ids if name in small.ids]
    assert shared != [name for name in small.ids if name in shared], "in another order"


def test_clones_have_twins_too(tmp_path: Path) -> None:
    made = deal(tmp_path, "no_train", Plan(units=5, twins=2, awkward=False))
    twins = {unit.twin: unit for unit in made.dealt if unit.twin}
    originals = {unit.name: unit for unit in made.ordinary}
    assert len(twins) == 2
    assert len(made.ids) == 7
    for name, twin in twins.items():
        assert twin.rows[0]["prompt"] == originals[name].rows[0]["prompt"]


@pytest.mark.parametrize("shape", LEARNED)
def test_twins_have_the_same_content_under_other_ids(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape, Plan(units=3, twins=2, awkward=False))
    originals = {unit.name: unit for unit in made.ordinary}
    twins = [unit for unit in made.dealt if unit.twin]
    assert len(twins) == 2
    for twin in twins:
        original = originals[twin.twin]
        assert not set(twin.ids) & set(original.ids)
        assert len(twin.ids) == len(original.ids)
        assert [f.source for f in twin.files] == [f.source for f in original.files]
        assert not {f.path for f in twin.files} & {f.path for f in original.files}
        assert list(twin.labels.values()) == list(original.labels.values())
        for name, template in made.profile.hidden.derived:
            assert [row[name] for row in twin.rows] == [render(template, r) for r in twin.rows]


def test_other_seeds_deal_other_units(tmp_path: Path) -> None:
    first = deal(tmp_path, "tabular", Plan(units=6, awkward=False), "first")
    other = deal(tmp_path, "tabular", Plan(units=6, awkward=False, seed=1), "other")
    assert set(first.ids) != set(other.ids)


def test_each_value_of_each_category_occurs(tmp_path: Path) -> None:
    """Among 3,000 rows one is of a rare kind: it is among the eight that are dealt."""
    root = folders.tabular(tmp_path / "tabular", rows=3000)
    rows = folders.read_csv(root / "train.csv")
    rows[1234]["colour"], rows[2345]["rooms"] = "ultraviolet", "17"
    folders.write_csv(root / "train.csv", rows)
    made = deal(tmp_path, "tabular", Plan(units=8, awkward=False))
    dealt = folders.read_csv(made.folder / "test.csv")
    assert {row["colour"] for row in dealt} == {"red", "green", "blue", "ultraviolet"}
    assert {row["rooms"] for row in dealt} == {"", "1", "2", "3", "17"}


def test_clones_public_rows_where_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    made = deal(tmp_path, "no_train", Plan(units=7))
    rows = folders.read_csv(made.folder / "test.csv")
    public = folders.read_csv(tmp_path / "no_train" / "test.csv")
    assert len({row["id"] for row in rows}) == len(rows)
    assert not {row["id"] for row in rows} & {row["id"] for row in public}
    assert {row["prompt"] for row in rows} <= {row["prompt"] for row in public}
    assert made.labels == {}
    assert "clones" in made.source


def test_all_rows_of_a_patient_come_together(tmp_path: Path) -> None:
    made = deal(tmp_path, "images", Plan(units=3, awkward=False))
    public = read(tmp_path / "images" / "train.csv")
    patients = {row["patient_id"] for row in read(made.folder / "test.csv")}
    expected = {row["image_id"] for row in public if row["patient_id"] in patients}
    assert set(made.ids) == expected


# --- leaks ---


def test_a_second_table_with_labels_under_another_name_loses_the_hidden_rows(
    tmp_path: Path,
) -> None:
    root = folders.images(tmp_path / "images")
    rows = folders.read_csv(root / "train.csv")
    leak = [{"fname": f"{r['image_id']}.png", "who": r["label"]} for r in rows]
    folders.write_csv(root / "notes.csv", leak)
    folders.write_csv(root / "pairs.csv", [{"a": r["patient_id"], "b": r["label"]} for r in rows])
    made = deal(tmp_path, "images", Plan(units=3))
    sources = {unit.source for unit in made.dealt}
    hidden = {r["image_id"] for r in rows if r["patient_id"] in sources}
    assert hidden
    notes = folders.read_csv(made.folder / "notes.csv")
    assert {row["fname"][:-4] for row in notes} == {r["image_id"] for r in rows} - hidden
    pairs = folders.read_csv(made.folder / "pairs.csv")
    assert not {row["a"] for row in pairs} & sources


def test_other_files_that_name_hidden_rows_are_left_out_and_said(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "images")
    name = folders.read_csv(root / "train.csv")[0]["image_id"]
    (root / "annotations.json").write_text(f'{{"images": [{{"file": "{name}.png", "class": 1}}]}}')
    (root / "classes.json").write_text('["rust", "scab", "healthy"]')
    folders.write_files(root, [f"extra/{name}_mask.png", "extra/palette.png"])
    (root / "train_images" / "boxes.xml").write_text(f"<box image='{name}' class='rust'/>")
    made = deal(tmp_path, "images", Plan(units=12))
    assert (made.folder / "classes.json").is_file()
    assert (made.folder / "extra" / "palette.png").is_file()
    assert not (made.folder / "annotations.json").exists()
    assert not (made.folder / "extra" / f"{name}_mask.png").exists()
    assert not (made.folder / "train_images" / "boxes.xml").exists()
    # The mask is known for a file of its row, as the training images are: nothing need be said.
    for path in ("annotations.json", "train_images/boxes.xml"):
        assert [reason for reason in made.left_out if reason.startswith(f"{path}:")]


def test_a_label_in_the_folder_of_a_training_file_is_not_in_the_test_files_path(
    tmp_path: Path,
) -> None:
    root = folders.images(tmp_path / "images")
    for row in folders.read_csv(root / "train.csv"):
        path = root / "train_images" / f"{row['image_id']}.png"
        (root / "train_images" / row["label"]).mkdir(exist_ok=True)
        path.rename(root / "train_images" / row["label"] / path.name)
    made = deal(tmp_path, "images", Plan(units=3, awkward=False))
    shown = {file.path for unit in made.dealt for file in unit.files}
    assert shown == {f"test_images/{name}.png" for name in made.ids}


def test_ids_that_tell_the_label_are_replaced(tmp_path: Path) -> None:
    root = tmp_path / "telling"
    kinds = ("cat", "dog")
    train = [{"id": f"{kinds[n % 2]}_{n:04d}", "animal": kinds[n % 2]} for n in range(20)]
    folders.write_csv(root / "train.csv", train)
    folders.write_csv(root / "test.csv", [{"id": "x_9000"}])
    folders.write_csv(root / "sample_submission.csv", [{"id": "x_9000", "animal": "cat"}])
    folders.write_files(root, (f"train/{row['id']}.jpg" for row in train))
    folders.write_files(root, ["test/x_9000.jpg"])
    made = tables.write(tmp_path / "hidden", profile.read(root), Plan(units=4, awkward=False))
    shown = [*made.ids, *(file.path for unit in made.dealt for file in unit.files)]
    assert not [name for name in shown if "cat" in name or "dog" in name]
    assert {known["animal"] for known in made.labels.values()} <= {"cat", "dog"}
    assert "their own tell the label" in made.source


def test_the_users_own_files_are_never_written_to(tmp_path: Path) -> None:
    root = folders.masks(tmp_path / "masks")
    before = {path: path.read_bytes() for path in files(root)}
    deal(tmp_path, "masks", Plan(units=5, twins=2))
    assert {path: path.read_bytes() for path in files(root)} == before


# --- awkward cases ---


def planted(made: TableSet) -> dict[str, list[dict[str, str]]]:
    """Return the rows of the test table by the awkward case they are planted for."""
    own, unit = made.profile.hidden, made.profile.hidden.unit
    rows = read(made.folder / own.test) if own.test else []
    return {
        dealt.case: [row for row in rows if row[unit] == dealt.name]
        for dealt in made.dealt
        if dealt.case
    }


def test_awkward_cases_of_a_table(tmp_path: Path) -> None:
    made = deal(tmp_path, "tabular", Plan(units=4))
    cases = planted(made)
    assert set(cases) == {"unseen category", "missing values"}
    (unseen,) = cases["unseen category"]
    assert unseen["colour"] not in {"red", "green", "blue"}
    (missing,) = cases["missing values"]
    assert missing["rooms"] == ""  # the column where training rows lack values, too
    assert missing["area"] != ""
    assert set(made.not_planted) == {
        "missing file",
        "empty file",
        "leading zeros",  # its ids are numbers
        "many files",
        "single file",
    }


def test_awkward_cases_of_images(tmp_path: Path) -> None:
    made = deal(tmp_path, "images", Plan(units=4))
    cases, by_case = planted(made), {unit.case: unit for unit in made.dealt}

    def present(case: str) -> list[bool]:
        names = [f"test_images/{row['image_id']}.png" for row in cases[case]]
        return [(made.folder / name).is_file() for name in names]

    assert present("missing file").count(False) == 1
    sizes = [(made.folder / f.path).stat().st_size for f in by_case["empty file"].files]
    assert sizes.count(0) == 1
    assert len(cases["many files"]) >= 30
    assert all(present("many files"))
    assert len(cases["single file"]) == 1
    assert all(row["image_id"].startswith("00") for row in cases["leading zeros"])
    assert all(row["image_id"].isdigit() for row in cases["leading zeros"])
    assert set(made.ids) >= {row["image_id"] for rows in cases.values() for row in rows}


def test_awkward_cases_of_series(tmp_path: Path) -> None:
    made = deal(tmp_path, "dicom_long", Plan(units=4))
    by_case = {unit.case: unit for unit in made.dealt}
    ordinary = len(made.ordinary[0].files)
    assert len(by_case["many files"].files) >= 10 * ordinary
    assert len(by_case["single file"].files) == 1
    assert len(by_case["missing file"].files) == ordinary - 1


def test_ids_of_fixed_width_keep_their_zeros(tmp_path: Path) -> None:
    made = deal(tmp_path, "zeros", Plan(units=3))
    assert all(len(name) >= 5 for name in made.ids)
    assert "leading zeros" in {unit.case for unit in made.dealt}


def test_planted_rows_have_no_right_answer(tmp_path: Path) -> None:
    made = deal(tmp_path, "tabular", Plan(units=4))
    odd = {",".join(name) for unit in made.dealt if unit.case for name in unit.ids}
    assert odd
    assert not odd & set(made.labels)


# --- what does not serve ---


def test_refuses_what_is_uncertain(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    for number, path in enumerate(sorted((root / "test_images").iterdir())):
        path.rename(path.with_name(f"scan-{number}.png"))
    with pytest.raises(CheckError, match="not certain"):
        tables.write(tmp_path / "hidden", profile.read(root), Plan(units=2))
    assert not (tmp_path / "hidden").exists()


def test_deals_only_what_was_downloaded(tmp_path: Path) -> None:
    root = folders.mammography(tmp_path / "c")
    kept = "10008"
    for folder in (root / "train_images").iterdir():
        if folder.name != kept:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    hidden = profile.read(folders.mammography(tmp_path / "whole")).hidden
    made = tables.write(tmp_path / "hidden", profile.read(root, hidden), Plan(units=3))
    assert {unit.name for unit in made.ordinary} == {kept}


def test_says_where_no_files_are_here(tmp_path: Path) -> None:
    root = folders.masks(tmp_path / "c")
    hidden = profile.read(root).hidden
    for path in (root / "train_images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"has its files in .*train_images/\{id\}\.tif"):
        tables.write(tmp_path / "hidden", profile.read(root, hidden), Plan(units=2))


def test_paths_of_a_column_lead_to_the_files_of_the_hidden_test(tmp_path: Path) -> None:
    made = deal(tmp_path, "paths", Plan(units=3, twins=1, awkward=False))
    rows = read(made.folder / "test.csv")
    assert len(rows) == 4 * 3  # an image and its twin have the rows of all targets
    assert columns(made.folder / "test.csv") == ["sample_id", "image_path", "target_name"]
    for row in rows:
        image = row["sample_id"].removesuffix(f"__{row['target_name']}")
        assert row["image_path"] == f"test/{image}.jpg"
        assert (made.folder / row["image_path"]).exists()


def test_a_unit_that_no_column_is_named(tmp_path: Path) -> None:
    root = folders.tabular(tmp_path / "c")
    hidden = replace(profile.read(root).hidden, unit="house")
    with pytest.raises(UsageError, match="unit = 'house': no table has such a column"):
        profile.read(root, hidden)


def test_files_of_another_disk_are_copied_and_counted(tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    import tempfile

    root = folders.masks(tmp_path / "masks")
    with tempfile.TemporaryDirectory(dir=shm) as other:
        plan = Plan(units=2, awkward=False)
        made = tables.write(Path(other) / "hidden", profile.read(root), plan)
        size = sum((made.folder / f.path).stat().st_size for u in made.dealt for f in u.files)
        assert made.copied_bytes == size > 0


def test_a_profile_by_hand_is_enough(tmp_path: Path) -> None:
    """Settings alone, in a folder whose names say nothing."""
    root = tmp_path / "odd"
    rows = [{"key": f"k{n:05d}", "x": n, "y": n * 2} for n in range(10)]
    folders.write_csv(root / "known.csv", rows)
    folders.write_csv(root / "asked.csv", [{"key": "k99999", "x": 1}])
    folders.write_csv(root / "form.csv", [{"key": "k99999", "y": 0}])
    hidden = Hidden(
        sample="form.csv",
        submission="answers.csv",
        test="asked.csv",
        train="known.csv",
        id=("key",),
        targets=("y",),
        labels=("y",),
        unit="key",
    )
    made = tables.write(tmp_path / "hidden", profile.read(root, hidden), Plan(units=3))
    assert {known["y"] for known in made.labels.values()} <= {
        row["y"] * 1 and str(row["y"]) for row in rows
    } | {"0"}


# --- large ones ---

MEMORY_LIMITED = """
import resource, sys
from pathlib import Path
from bundler.competition import handover, profile, tables
limit = 300 << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = profile.read(Path(sys.argv[1]))
made = tables.write(Path(sys.argv[2]), found, tables.Plan(units=20))
print(len(made.labels), sum(1 for _ in (made.folder / "train.csv").open()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by RLIMIT_AS")
def test_a_table_larger_than_memory_is_dealt_from_row_by_row(tmp_path: Path) -> None:
    root, rows = folders.tabular(tmp_path / "c"), 120_000
    with (root / "train.csv").open("w") as stream:
        stream.write("id,area,rooms,colour,price\n")
        for number in range(rows):
            stream.write(f"{number},{number % 977}.5,1,{'red' * 333},5\n")
    assert (root / "train.csv").stat().st_size > 110 << 20
    command = [sys.executable, "-c", MEMORY_LIMITED, str(root), str(tmp_path / "hidden")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    labels, lines = map(int, result.stdout.split())
    assert labels == 20
    assert lines == 1 + rows - 20, "of the training rows only the hidden ones are gone"


def test_more_training_files_than_can_be_linked_are_left_out_and_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folders.masks(tmp_path / "masks")
    for number in range(3000):
        (root / "train_images" / f"other{number:05d}.tif").touch()
    given: list[str] = []
    real = os.scandir

    class Counting:
        """os.scandir, counted."""

        def __init__(self, path: Path) -> None:
            self.scan = real(path)

        def __enter__(self) -> "Counting":
            return self

        def __exit__(self, *_: object) -> None:
            self.scan.close()

        def __iter__(self) -> "Counting":
            return self

        def __next__(self) -> "os.DirEntry[str]":
            entry = next(self.scan)
            given.append(entry.name)
            return entry

    monkeypatch.setattr(os, "scandir", Counting)
    monkeypatch.setattr(handover, "MOST_FILES", 100)
    made = tables.write(tmp_path / "hidden", profile.read(root), Plan(units=3))
    assert "train_images/: more than 100 files" in made.left_out
    assert not (made.folder / "train_images").exists()
    assert len(given) < 1000
    assert all(unit.files for unit in made.ordinary), "the test files are there nevertheless"
