"""test.csv in, submission.csv out."""

import csv
import math
from pathlib import Path

import pytest

from inference import submission
from inference.boot import competition
from inference.errors import InputError, RunError, UsageError

HEADER = "site_id,patient_id,image_id,laterality,view,age,implant,machine_id,prediction_id"


def write_test(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """Write a test.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_keeps_ids_as_text_and_their_order(tmp_path: Path) -> None:
    write_test(tmp_path, "1,007,0042,L,CC,,0,49,007_L", "1,007,0041,R,CC,61,0,49,007_R")
    images = submission.read_test(tmp_path)
    assert [image.prediction_id for image in images] == ["007_L", "007_R"]
    assert images[0].path == tmp_path / "test_images" / "007" / "0042.dcm"
    assert images[0].columns["age"] == ""


def test_accepts_extra_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    rows = "patient_id,image_id,more,prediction_id\n1,2,x,1_L\n"
    (tmp_path / "test.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert submission.read_test(tmp_path)[0].columns["more"] == "x"


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (["1,2"], "patient_id,image_id", "lacks the column prediction_id; it has patient_id"),
        ([], HEADER, "has no rows"),
        (["1,,2,L,CC,,0,49,1_L"], HEADER, "line 2: an id is empty"),
        (["1,../up,2,L,CC,,0,49,1_L"], HEADER, "has a slash"),
        (["1,7"], HEADER, "line 2: an id is empty"),
    ],
)
def test_refuses_a_table_it_cannot_use(
    tmp_path: Path, rows: list[str], header: str, said: str
) -> None:
    write_test(tmp_path, *rows, header=header)
    with pytest.raises(InputError, match=said):
        submission.read_test(tmp_path)


def test_refuses_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        submission.read_test(tmp_path)


@pytest.mark.parametrize("place", ["rsna", "competitions/rsna", "."])
def test_finds_the_competition(tmp_path: Path, place: str) -> None:
    folder = write_test(tmp_path / place, "1,1,2,L,CC,,0,49,1_L")
    assert competition.find(tmp_path).resolve() == folder.resolve()


def test_chooses_between_competitions(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_test(tmp_path / name)
    with pytest.raises(UsageError, match="Several competitions are mounted"):
        competition.find(tmp_path)
    assert competition.find(tmp_path, "two").name == "two"
    with pytest.raises(InputError, match=r"No competition named three is mounted(.|\n)*one"):
        competition.find(tmp_path, "three")


def images_of(tmp_path: Path, *rows: str) -> list[submission.TestImage]:
    """Return the images of a test.csv."""
    return submission.read_test(write_test(tmp_path, *rows))


def test_aggregates_over_a_breasts_readable_images(tmp_path: Path) -> None:
    images = images_of(
        tmp_path,
        "1,1,1,L,CC,,0,49,1_L",
        "1,1,2,L,MLO,,0,49,1_L",
        "1,1,3,R,CC,,0,49,1_R",
        "1,1,4,R,MLO,,0,49,1_R",
        "1,2,5,L,CC,,0,49,2_L",
    )
    seen = {0: 0.2, 1: 0.6, 2: 0.5}
    assert submission.aggregate(images, seen, "mean") == {"1_L": 0.4, "1_R": 0.5, "2_L": None}
    assert submission.aggregate(images, seen, "max") == {"1_L": 0.6, "1_R": 0.5, "2_L": None}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_refuses_what_is_no_number(tmp_path: Path, value: float) -> None:
    images = images_of(tmp_path, "1,1,1,L,CC,,0,49,1_L")
    with pytest.raises(RunError, match="The model is broken"):
        submission.aggregate(images, {0: value}, "mean")


def test_decides_by_the_threshold_and_names_fallbacks() -> None:
    breasts = {"a": 0.4, "b": 0.39, "c": None}
    assert submission.decide(breasts, "binary", 0.4, 0.02) == (
        {"a": 1.0, "b": 0.0, "c": 0.0},
        ["c"],
    )
    numbers, fallbacks = submission.decide(breasts, "probability", None, 0.02)
    assert (numbers, fallbacks) == ({"a": 0.4, "b": 0.39, "c": 0.02}, ["c"])
    with pytest.raises(UsageError, match="no threshold is recorded"):
        submission.decide(breasts, "binary", None, 0.02)


def test_writes_ids_as_they_are() -> None:
    predictions = {"007_L": 1.0, 'odd,"id"': 0.25, "z": 1e-7, "long": 0.1234567890123456e-99}
    content = submission.csv_text(predictions)
    assert content.startswith(b"prediction_id,cancer\n007_L,1\n")
    rows = list(csv.reader(content.decode().splitlines()))
    assert rows[1:4] == [["007_L", "1"], ['odd,"id"', "0.25"], ["z", "1e-07"]]
    # The space that is held from the start is enough for whatever is predicted.
    assert submission.csv_size(dict.fromkeys(predictions, 0.0)) >= len(content)


def test_a_suspicious_image_counts_only_where_its_breast_has_no_other(tmp_path: Path) -> None:
    images = images_of(
        tmp_path, "1,1,1,L,CC,,0,49,1_L", "1,1,2,L,MLO,,0,49,1_L", "1,1,3,R,CC,,0,49,1_R"
    )
    seen = {0: 0.2, 1: 0.6, 2: 0.5}
    breasts = submission.aggregate(images, seen, "mean", suspicious=[1, 2])
    assert breasts == {"1_L": 0.2, "1_R": 0.5}
    assert submission.aggregate(images, {1: 0.6}, "max", [1]) == {"1_L": 0.6, "1_R": None}


def test_blank_lines_are_no_rows_and_duplicates_count_once(tmp_path: Path) -> None:
    one, two = "1,1,1,L,CC,,0,49,1_L", "1,1,2,L,MLO,,0,49,1_L"
    plain = submission.read_table(write_test(tmp_path, one, two))
    table = submission.read_table(write_test(tmp_path, one, two, one, one, ",,,,,,,,", " ", ""))
    assert table.images == plain.images
    assert (plain.duplicates, table.duplicates) == (0, 2)
    assert table.sha256 != plain.sha256
