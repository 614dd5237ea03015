"""Every way that a submission of another competition is refused, planted; and what is fine."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bundler.competition import profile, submission_checks, tables
from bundler.competition.check import Check
from bundler.competition.submission_checks import Expected
from bundler.competition.tables import Plan, TableSet
from bundler.hidden import Hidden
from tests.bundler.competition import folders

Rows = list[dict[str, str]]


def deal(tmp_path: Path, shape: str, units: int = 8) -> TableSet:
    root = getattr(folders, shape)(tmp_path / shape)
    return tables.write(tmp_path / "hidden", profile.read(root), Plan(units=units, awkward=False))


def answered(made: TableSet) -> Rows:
    """Return a good submission: the right answers, probabilities among them made less sure."""
    own = made.profile.hidden
    sample = folders.read_csv(made.folder / own.sample)
    rows = []
    for row in sample:
        known = made.labels[",".join(row[name] for name in own.id)]
        rows.append({**row, **known})
    return rows


def checked(made: TableSet, working: Path) -> dict[str, Check]:
    expected = Expected(profile=made.profile, ids=made.ids, labels=made.labels)
    done, _ = submission_checks.check(working, expected)
    return {check.name: check for check in done}


def written(made: TableSet, tmp_path: Path, rows: Rows, columns: Sequence[str] = ()) -> Path:
    working = tmp_path / "working"
    folders.write_csv(working / made.profile.hidden.submission, rows, columns)
    return working


GOOD = ["tabular", "images", "dicom_long", "repeated", "masks", "class_rows", "subtypes", "zeros"]


@pytest.mark.parametrize("shape", [*GOOD, "series", "multi_target", "mammography"])
def test_a_good_submission_fails_nothing(tmp_path: Path, shape: str) -> None:
    made = deal(tmp_path, shape)
    done = checked(made, written(made, tmp_path, answered(made)))
    assert not [check for check in done.values() if check.status == "failed"]
    assert done["ids"].message.startswith(f"all {len(made.ids)}")


def _first(change: Callable[[dict[str, str]], None]) -> Callable[[Rows], Rows]:
    def apply(rows: Rows) -> Rows:
        change(rows[0])
        return rows

    return apply


def _set(name: str, value: str) -> Callable[[Rows], Rows]:
    return _first(lambda row: row.update({name: value}))


def _every(name: str, value: Callable[[str], str]) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {name: value(row[name])} for row in rows]


# what is planted → (change, the check that fails, what it says)
TABULAR: dict[str, tuple[Callable[[Rows], Rows], str, str]] = {
    "the last row is missing": (lambda rows: rows[:-1], "ids", "1 of 8 ids are missing"),
    "a row twice": (lambda rows: [*rows, rows[3]], "ids", "1 ids occur more than once"),
    "other ids": (_every("id", lambda i: f"9{i}000"), "ids", "not in the sample submission"),
    "ids as floats": (_every("id", lambda i: f"{i}.0"), "ids", "Ids became numbers with fractions"),
    "spaces": (_every("id", lambda i: f" {i}"), "ids", "spaces around the ids"),
    "the string nan": (_set("price", "nan"), "values", "1 values are missing (NaN)"),
    "an empty cell": (_set("price", ""), "values", "1 values are missing (NaN)"),
    "infinite": (_set("price", "inf"), "values", "1 values are infinite"),
    "minus infinity": (_set("price", "-inf"), "values", "1 values are infinite"),
    "text": (_set("price", "cheap"), "values", "1 values are no numbers"),
    "a comma for a point": (_set("price", "1,5"), "values", "no numbers"),
    "a constant": (_every("price", lambda _: "412.5"), "constant", "a constant, not a model's"),
    "an index": (
        lambda rows: [{"": str(n)} | row for n, row in enumerate(rows)],
        "columns",
        "index=False",
    ),
    "another order of columns": (
        lambda rows: [{"price": row["price"], "id": row["id"]} for row in rows],
        "columns",
        "in another order",
    ),
    "another name": (
        lambda rows: [{"id": row["id"], "Price": row["price"]} for row in rows],
        "columns",
        "Columns are missing: 'price'",
    ),
}


@pytest.mark.parametrize("name", TABULAR)
def test_planted_in_a_table(tmp_path: Path, name: str) -> None:
    change, check, message = TABULAR[name]
    made = deal(tmp_path, "tabular")
    done = checked(made, written(made, tmp_path, change(answered(made))))
    assert done[check].status == "failed"
    assert message in done[check].message


def test_a_copy_of_the_sample_of_probabilities(tmp_path: Path) -> None:
    made = deal(tmp_path, "images")
    working = written(made, tmp_path, folders.read_csv(made.folder / "sample_submission.csv"))
    check = checked(made, working)["constant"]
    assert check.status == "failed"
    assert "the sample submission's own" in check.message


def test_one_class_for_a_few_rows_is_said_and_for_many_refused(tmp_path: Path) -> None:
    few = deal(tmp_path / "few", "series", units=5)
    rows = [row | {"sii": "0"} for row in answered(few)]
    assert checked(few, written(few, tmp_path / "few", rows))["constant"].status == "unproven"
    root = folders.series(tmp_path / "many" / "series", count=40)
    many = tables.write(tmp_path / "h", profile.read(root), Plan(units=30, awkward=False))
    rows = [row | {"sii": "0"} for row in answered(many)]
    assert checked(many, written(many, tmp_path / "many", rows))["constant"].status == "failed"


def test_lost_zeros(tmp_path: Path) -> None:
    made = deal(tmp_path, "zeros")
    rows = [row | {"BraTS21ID": str(int(row["BraTS21ID"]))} for row in answered(made)]
    check = checked(made, written(made, tmp_path, rows))["ids"]
    assert check.status == "failed"
    assert "Leading zeros were lost" in check.message


def test_a_byte_order_mark(tmp_path: Path) -> None:
    made = deal(tmp_path, "tabular")
    path = written(made, tmp_path, answered(made)) / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    check = checked(made, path.parent)[path.name]
    assert check.status == "failed"
    assert "byte-order mark" in check.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id,price\n1,2\n3", "has 1 cells, the header 2"),
        (b'id,price\n1,"2\n', "cannot be read as csv"),
        (b"id,price\n1,\xff\n", "cannot be read as csv"),
        (b"id,id\n1,2\n", "the column 'id' twice"),
        (b"PK\x03\x04 not a csv", "cannot be read as csv|Columns are missing"),
    ],
)
def test_a_file_that_is_cut_or_something_else(tmp_path: Path, content: bytes, message: str) -> None:
    import re

    made = deal(tmp_path, "tabular")
    (tmp_path / "working").mkdir()
    (tmp_path / "working" / "submission.csv").write_bytes(content)
    failed = [c for c in checked(made, tmp_path / "working").values() if c.status == "failed"]
    assert any(re.search(message, check.message) for check in failed)


@pytest.mark.parametrize("name", ["Submission.csv", "submission_v2.csv", "out/submission.csv"])
def test_a_wrong_name_or_folder(tmp_path: Path, name: str) -> None:
    made = deal(tmp_path, "tabular")
    folders.write_csv(tmp_path / "working" / name, answered(made))
    (check,) = checked(made, tmp_path / "working").values()
    assert check.status == "failed"
    assert f"submission.csv was not written, but {name} was" in check.message


def test_values_beyond_the_training_labels_are_said_not_refused(tmp_path: Path) -> None:
    made = deal(tmp_path, "tabular")
    rows = answered(made)
    rows[0]["price"] = "123456.5"
    check = checked(made, written(made, tmp_path, rows))["range"]
    assert check.status == "unproven"
    assert "the training labels from" in check.message


def test_a_class_that_training_never_had_is_said(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "c")
    sample = [
        {"image_id": r["image_id"], "label": "rust"} for r in folders.read_csv(root / "test.csv")
    ]
    folders.write_csv(root / "sample_submission.csv", sample)
    made = tables.write(tmp_path / "hidden", profile.read(root), Plan(units=4, awkward=False))
    rows = answered(made)
    rows[0]["label"] = "blight"
    check = checked(made, written(made, tmp_path, rows))["range"]
    assert check.status == "unproven"
    assert "'blight' is none of the training labels" in check.message


def test_fractions_where_classes_are_whole_numbers_are_said(tmp_path: Path) -> None:
    made = deal(tmp_path, "series")
    rows = [row | {"sii": f"{row['sii']}.0"} for row in answered(made)]
    check = checked(made, written(made, tmp_path, rows))["range"]
    assert "the sample has whole numbers" in check.message
    assert check.status == "unproven"


def test_masks_must_be_pairs_and_may_be_empty(tmp_path: Path) -> None:
    made = deal(tmp_path, "masks")
    rows = answered(made)
    rows[0]["rle"], rows[1]["rle"] = "", "3 4 9"
    check = checked(made, written(made, tmp_path, rows))["values"]
    assert check.status == "failed"
    assert "1 are no run lengths" in check.message


def test_an_id_of_two_columns(tmp_path: Path) -> None:
    made = deal(tmp_path, "class_rows", units=3)
    rows = answered(made)
    assert checked(made, written(made, tmp_path, rows))["ids"].status == "passed"
    rows[0]["class"], rows[1]["class"] = rows[1]["class"], rows[1]["class"]
    assert checked(made, written(made, tmp_path, rows))["ids"].status == "failed"


# --- other formats ---


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    made = deal(tmp_path, "events", units=4)
    (tmp_path / "working").mkdir()
    good = [{"eeg_id": int(i), "target": int(made.labels[i]["target"])} for i in made.ids]
    path = tmp_path / "working" / "submission.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(good), path)
    done = checked(made, path.parent)
    assert not [check for check in done.values() if check.status == "failed"]
    texts = [row | {"target": str(row["target"])} for row in good]
    parquet.write_table(pyarrow.Table.from_pylist(texts), path)
    check = checked(made, path.parent)["values"]
    assert check.status == "failed"
    assert "target is stored as text (string), though its values are numbers" in check.message
    floats = [row | {"eeg_id": float(row["eeg_id"])} for row in good]
    parquet.write_table(pyarrow.Table.from_pylist(floats), path)
    check = checked(made, path.parent)["ids"]
    assert check.status == "failed"
    assert "Ids became numbers with fractions" in check.message
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as parquet" in checked(made, path.parent)[path.name].message


def other_format(tmp_path: Path, name: str) -> TableSet:
    """A competition whose sample is no table: written by a hook, here by hand."""
    (tmp_path / "folder").mkdir()
    hidden = Hidden(sample=name, submission=name.replace("sample_", ""), id=("id",), hook="a:b")
    return TableSet(
        folder=tmp_path / "folder",
        profile=profile.read(tmp_path / "folder", hidden),
        dealt=(),
        ids=("a1", "a2"),
        source="",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a1": [1], "a2": [2]}', ""),
        ('[{"id": "a1", "x": 1}, {"id": "a2", "x": 2}]', ""),
        ('{"a1": [1]}', "1 of 2 ids are missing"),
        ('{"a1": [1], "a2": [2], "a1": [3]}', "'a1' twice"),
        ('{"a1": [1], "a2": [2], "b": []}', "not in the sample submission"),
        ('{"a1": [1], ', "cannot be read as JSON"),
        ("3", "neither an object by id nor a list"),
    ],
)
def test_json(tmp_path: Path, text: str, message: str) -> None:
    made = other_format(tmp_path, "sample_submission.json")
    (tmp_path / "working").mkdir()
    (tmp_path / "working" / "submission.json").write_text(text)
    failed = [c for c in checked(made, tmp_path / "working").values() if c.status == "failed"]
    assert bool(failed) == bool(message)
    assert not failed or message in failed[0].message


def test_zip(tmp_path: Path) -> None:
    made = other_format(tmp_path, "sample_submission.zip")
    path = tmp_path / "working" / "submission.zip"
    path.parent.mkdir()

    def write(*names: str) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"mask")

    write("a1.png", "masks/a2.png")
    assert not [c for c in checked(made, path.parent).values() if c.status == "failed"]
    write("a1.png")
    assert "1 of 2 ids are missing" in checked(made, path.parent)["ids"].message
    content = path.read_bytes()
    path.write_bytes(content.replace(b"mask", b"mosk", 1))
    assert "is damaged" in checked(made, path.parent)[path.name].message
    path.write_bytes(content[:10])
    assert "no zip archive" in checked(made, path.parent)[path.name].message


def test_messages_are_lines_a_report_can_hold(tmp_path: Path) -> None:
    """A thousand wrong ids are counted, not listed."""
    made = deal(tmp_path, "tabular")
    rows = [{"id": str(10**6 + n), "price": "1"} for n in range(1000)]
    done = checked(made, written(made, tmp_path, rows))
    assert all(len(json.dumps(check.as_dict())) < 1000 for check in done.values())
