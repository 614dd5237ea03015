"""Tables without ids: the number of a row is its name, in the folder, the checks and two runs."""

from pathlib import Path

import pytest

from bundler.competition import profile, tables
from bundler.competition.general import TableCompetition, TableTest
from bundler.competition.protocol import RunOutput
from bundler.competition.tables import Plan
from bundler.errors import CheckError
from bundler.hidden import Hidden
from tests.bundler.competition import folders


def content(row: dict[str, str]) -> tuple[str, ...]:
    """Return what a row holds, without its label."""
    return tuple(value for name, value in row.items() if name.startswith("pixel"))


def run(test: TableTest, working: Path, *, by_content: bool = True) -> RunOutput:
    """Answer a hidden test as a script does that counts the rows of test.csv."""
    working.mkdir()
    rows = folders.read_csv(test.folder / "test.csv")
    first = int(folders.read_csv(test.folder / "sample_submission.csv")[0]["ImageId"])
    answers = [hash(content(row)) % 1000 if by_content else n for n, row in enumerate(rows)]
    made = [{"ImageId": first + n, "Label": answer} for n, answer in enumerate(answers)]
    folders.write_csv(working / "submission.csv", made)
    return RunOutput(working=working, probe=working)


@pytest.fixture(params=[0, 1])
def competition(tmp_path: Path, request: pytest.FixtureRequest) -> TableCompetition:
    root = folders.anonymous(tmp_path / "data", first=request.param)
    return TableCompetition(folder=root, hidden=Hidden(), root=tmp_path)


def test_is_understood_and_read_back_from_the_settings(competition: TableCompetition) -> None:
    found = competition.profile()
    assert found is not None
    assert found.questions == ()
    assert "ImageId is the number of a row of test.csv" in found.notes[0]
    assert (found.hidden.unit, found.hidden.row_id) == ("row number", ("{row number}",))
    assert found.hidden.labels == ("label",)
    again = profile.read(found.folder, found.hidden)
    assert again.hidden == found.hidden


def test_rows_are_numbered_by_position_and_hidden_from_training(
    competition: TableCompetition, tmp_path: Path
) -> None:
    test = competition.write(tmp_path / "hidden", 6)
    rows = folders.read_csv(test.folder / "test.csv")
    sample = folders.read_csv(test.folder / "sample_submission.csv")
    first = int(sample[0]["ImageId"])
    assert [int(row["ImageId"]) for row in sample] == list(range(first, first + len(rows)))
    assert list(rows[0]) == [f"pixel{n}" for n in range(6)]  # no number, and no label
    public = folders.read_csv(tmp_path / "data" / "train.csv")
    known = {content(row): row["label"] for row in public}
    left = {content(row) for row in folders.read_csv(test.folder / "train.csv")}
    dealt = [content(row) for row in rows if content(row) in known]
    assert len(dealt) >= 6
    assert not left & set(dealt)
    # Nothing else is taken from it, though small numbers stand in every column.
    assert len(left) == 40 - 2 * 6
    right = {first + n: known[content(row)] for n, row in enumerate(rows) if content(row) in known}
    assert {name: a["Label"] for name, a in test.labels.items()} == {
        name: right[int(name)] for name in test.labels
    }
    assert len(test.labels) == 6


def test_a_right_script_is_told_from_one_that_answers_by_position(
    competition: TableCompetition, tmp_path: Path
) -> None:
    """In the second run the same rows have other numbers."""
    test = competition.write(tmp_path / "hidden", 6)
    second = competition.deal(tmp_path / "second", Plan(units=12, withheld=12, order=1, twins=4))
    first_run, again = run(test, tmp_path / "a"), run(second, tmp_path / "b")
    statuses = {c.name: c.status for c in test.compare_runs(first_run, [(second, again)])}
    assert statuses == dict.fromkeys(statuses, "passed")
    assert len(statuses) == 3
    blind = [run(t, tmp_path / n, by_content=False) for t, n in ((test, "c"), (second, "d"))]
    checks = test.compare_runs(blind[0], [(second, blind[1])])
    assert {c.name for c in checks if c.status == "failed"} >= {"order and neighbours"}


def test_the_submission_is_checked(competition: TableCompetition, tmp_path: Path) -> None:
    test = competition.write(tmp_path / "hidden", 6)
    done = run(test, tmp_path / "a")
    assert {c.status for c in test.check(done).checks if c.name in ("ids", "columns")} == {"passed"}
    made = folders.read_csv(done.working / "submission.csv")
    folders.write_csv(done.working / "submission.csv", made[1:])
    (ids,) = [c for c in test.check(done).checks if c.name == "ids"]
    assert "1 of" in ids.message


def test_numbers_that_do_not_count_the_test_rows_are_no_names(tmp_path: Path) -> None:
    """A test table with one row more than the sample is not counted by it."""
    folders.anonymous(tmp_path)
    rows = folders.read_csv(tmp_path / "sample_submission.csv")
    folders.write_csv(tmp_path / "sample_submission.csv", rows[:-1])
    assert {question.key for question in profile.read(tmp_path).questions} >= {"row_id"}


def test_a_sample_without_any_id_asks_for_a_hook(tmp_path: Path) -> None:
    folders.anonymous(tmp_path)
    folders.write_csv(tmp_path / "sample_submission.csv", [{"Label": 0} for _ in range(12)])
    with pytest.raises(CheckError, match="known by their order alone, write the hidden test by a"):
        tables.write(tmp_path / "hidden", profile.read(tmp_path), Plan(units=6))


@pytest.mark.parametrize("unit", ["", "date"])
def test_an_id_that_only_the_test_table_counts(tmp_path: Path, unit: str) -> None:
    """Rows alone by themselves, or a day's together, where the user says so."""
    root = folders.forecast(tmp_path / "data")
    found = profile.read(root, Hidden(unit=unit))
    assert found.questions == ()
    assert found.hidden.derived == (("id", "{row number}"),)
    made = tables.write(tmp_path / "hidden", found, Plan(units=4, withheld=8))
    rows = folders.read_csv(made.folder / "test.csv")
    assert [int(row["id"]) for row in rows] == list(range(3000, 3000 + len(rows)))
    assert list(made.ids) == [row["id"] for row in rows]
    public = {(r["date"], r["store"]): r["sales"] for r in folders.read_csv(root / "train.csv")}
    left = {(r["date"], r["store"]) for r in folders.read_csv(made.folder / "train.csv")}
    by_id = {row["id"]: (row["date"], row["store"]) for row in rows}
    for name, answer in made.labels.items():
        assert public[by_id[name]] == answer["sales"]
        assert by_id[name] not in left
    assert len(made.labels) == (12 if unit else 4)
    assert len(left) == 60 - (24 if unit else 8)
