"""Pairs of texts in JSON lines: ids with a slash, files in folders of both parts, list answers."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bundler.competition import list_values, profile, tables
from bundler.competition.general import TableCompetition
from bundler.competition.json_lines import JsonLines
from bundler.competition.protocol import RunOutput
from bundler.competition.table import open_table
from bundler.competition.tables import Plan
from bundler.errors import InputError
from bundler.hidden import Hidden
from tests.bundler.competition import folders

SOURCES = ("wiki", "news")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """A competition whose rows are pairs of sentences, each with two sound files."""
    draw, root = random.Random(5), tmp_path / "data"

    def row(source: str, number: int) -> dict[str, Any]:
        tags = draw.sample(["old", "new", "cold"], 2)
        pair = {"pair_id": f"{source}/{number:04d}", "source": source, "tags": tags}
        return pair | {
            "text": f"sentence {draw.randrange(1000)}",
            "year": draw.choice([2020, None]),
        }

    rows = [row(source, number) for source in SOURCES for number in range(12)]
    test = [row(source, 900) for source in SOURCES]
    write_lines(
        root / "train.jsonl", [r | {"scores": [n / 7, 1 - n / 9]} for n, r in enumerate(rows)]
    )
    write_lines(root / "test.jsonl", test)
    sample = [{"pair_id": r["pair_id"], "scores": "[0.5, 0.5]"} for r in test]
    folders.write_csv(root / "sample_submission.csv", sample)
    for name, own in (("train", rows), ("test", test)):
        folders.write_files(
            root, (f"{name}_audio/{r['pair_id']}/{side}.wav" for r in own for side in "ab")
        )
    return root


def test_is_understood(root: Path) -> None:
    found = profile.read(root)
    assert found.questions == ()
    assert found.hidden.files == (
        ("test_audio/{pair_id}/a.wav", "train_audio/{pair_id}/a.wav"),
        ("test_audio/{pair_id}/b.wav", "train_audio/{pair_id}/b.wav"),
    )
    assert found.hidden.labels == ("scores",)


def test_a_row_that_lacks_one_of_its_named_files_is_a_missing_file(
    root: Path, tmp_path: Path
) -> None:
    made = tables.write(tmp_path / "hidden", profile.read(root), Plan(units=6))
    cases = {unit.case: [file.path[-5:] for file in unit.files] for unit in made.dealt if unit.case}
    assert cases["missing file"] == ["b.wav"]
    assert not cases.keys() & {"many files", "single file"}


def test_files_that_are_named_by_such_an_id_without_a_folder(root: Path) -> None:
    for split in ("train", "test"):
        for row in read_lines(root / f"{split}.jsonl"):
            folders.write_files(root, [f"{split}_pictures/{row['pair_id']}.png"])
    pairs = profile.read(root).hidden.files
    assert ("test_pictures/{pair_id}.png", "train_pictures/{pair_id}.png") in pairs


def test_rows_keep_their_types_and_hidden_ones_leave_the_training_set(
    root: Path, tmp_path: Path
) -> None:
    made = tables.write(tmp_path / "hidden", profile.read(root), Plan(units=6))
    rows = read_lines(made.folder / "test.jsonl")
    assert "scores" not in rows[0]
    assert all(isinstance(row["tags"], list) for row in rows)
    assert {type(row["year"]) for row in rows} <= {int, type(None)}
    hidden = {unit.source for unit in made.ordinary}
    assert len(hidden) == 6
    left = {row["pair_id"] for row in read_lines(made.folder / "train.jsonl")}
    assert len(left) == 24 - 6
    assert not left & hidden
    for name in hidden:
        assert not (made.folder / "train_audio" / name).exists()
        assert len(list((made.folder / "test_audio" / name).glob("*.wav"))) == 2
    assert all((made.folder / "train_audio" / name).is_dir() for name in left)
    assert json.loads(next(iter(made.labels.values()))["scores"])


def answers(test: Path, working: Path, change: dict[str, str]) -> RunOutput:
    """Answer each row by its text; some ids get another answer."""
    working.mkdir()
    rows = []
    for row in read_lines(test / "test.jsonl"):
        number = int(row["text"].split()[1]) / 7
        rows.append({"pair_id": row["pair_id"], "scores": json.dumps([number, 1.0])})
    first = rows[0]
    rows[0] = first | change
    folders.write_csv(working / "submission.csv", rows)
    return RunOutput(working=working, probe=working)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("[0.5, 0.25]", ""),
        ("[0.5, NaN]", "1 are no lists of finite numbers"),
        ("0.5, 0.25", "1 are no lists of finite numbers"),
        ("[]", "1 are no lists of finite numbers"),
        ("[0.5]", "1 lists have another length than the sample's 2"),
    ],
)
def test_list_answers_are_read(root: Path, tmp_path: Path, answer: str, message: str) -> None:
    competition = TableCompetition(folder=root, hidden=Hidden(), root=tmp_path)
    test = competition.write(tmp_path / "hidden", 6)
    done = answers(test.folder, tmp_path / "working", {"scores": answer})
    (values,) = [check for check in test.check(done).checks if check.name == "values"]
    assert (values.status == "failed") == bool(message)
    assert message in values.message


def test_lists_are_compared_number_by_number(root: Path, tmp_path: Path) -> None:
    """In another order, sums of floats differ in their last digits, which is no other answer."""
    competition = TableCompetition(folder=root, hidden=Hidden(), root=tmp_path)
    test = competition.write(tmp_path / "hidden", 6)
    second = competition.deal(tmp_path / "second", Plan(units=12, withheld=12, order=1, twins=4))
    one = answers(test.folder, tmp_path / "a", {})
    other = answers(second.folder, tmp_path / "b", {})
    text = (other.working / "submission.csv").read_text()
    (other.working / "submission.csv").write_text(text.replace("1.0]", "1.00001]"))
    checks = {c.name: c for c in test.compare_runs(one, [(second, other)])}
    assert checks["order and neighbours"].status == "passed"
    (other.working / "submission.csv").write_text(text.replace("1.0]", "1.1]"))
    checks = {c.name: c for c in test.compare_runs(one, [(second, other)])}
    assert checks["order and neighbours"].status == "failed"


def test_numbers_of_a_list() -> None:
    assert list_values.parse("[[1, 2], [3.5]]") == (1.0, 2.0, 3.5)
    assert list_values.parse('["a"]') is list_values.parse("[1") is list_values.parse("1") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n[1]\n', "line 2 is no JSON object"),
        ('{"a": 1}\n\n{"a": \n', "line 3"),
        ("\n", "no object in its lines"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(open_table(path).rows())


def test_keys_may_be_missing_and_ids_of_digits_stay_numbers(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"id": 7, "x": 1.5}, {"id": 8, "note": "two"}])
    table = open_table(tmp_path / "a.jsonl")
    assert isinstance(table, JsonLines)
    rows = list(table.rows())
    assert [row["note"] for row in rows] == [None, "two"]
    tables.tables.write(tmp_path / "b.jsonl", [row | {"id": "12"} for row in rows], table)
    assert [row["id"] for row in read_lines(tmp_path / "b.jsonl")] == [12, 12]
