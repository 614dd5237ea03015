"""Sample submissions that are JSON or archives: understood, dealt anew and checked, hookless."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bundler.competition import profile, submission_checks, tables
from bundler.competition.check import Check
from bundler.competition.submission_checks import Expected
from bundler.competition.tables import Plan, TableSet
from bundler.errors import InputError
from bundler.hidden import Hidden
from tests.bundler.competition import folders

Rows = Sequence[Mapping[str, Any]]
Write = Callable[[Path, Rows], None]


def dump(shape: Callable[[Rows], object]) -> Write:
    """Return a writer of JSON of a shape."""
    return lambda path, rows: path.write_text(json.dumps(shape(rows))) and None


def by_columns(rows: Rows) -> object:
    return {name: [row[name] for row in rows] for name in rows[0]}


def numbered(rows: Rows) -> object:
    return {name: {str(n): row[name] for n, row in enumerate(rows)} for name in rows[0]}


def zipped_csv(path: Path, rows: Rows) -> None:
    """Write an archive of one csv file."""
    folders.write_csv(path.with_name("inner.csv"), rows)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("inner.csv"), "submission.csv")
    path.with_name("inner.csv").unlink()


def zipped_files(path: Path, rows: Rows) -> None:
    """Write an archive of a mask for each row, in a folder, and what a Mac adds."""
    with zipfile.ZipFile(path, "w") as archive:
        for row in rows:
            archive.writestr(f"masks/{row['id']}.png", f"mask of {row['price']}")
        archive.writestr("__MACOSX/._masks", "junk")


def objects(rows: Rows) -> object:
    return {str(row["id"]): {"price": row["price"]} for row in rows}


def attempts(rows: Rows) -> object:
    return {str(row["id"]): [row["price"], None] for row in rows}


FORMS: dict[str, tuple[str, Write]] = {
    "records": ("sample_submission.json", dump(list)),
    "columns": ("sample_submission.json", dump(by_columns)),
    "numbered": ("sample_submission.json", dump(numbered)),
    "objects": ("submission.json", dump(objects)),
    "answers": ("submission.json", dump(attempts)),
    "a table in an archive": ("sample_submission.zip", zipped_csv),
    "a table as Kaggle hands it over": ("sample_submission.csv.zip", zipped_csv),
    "a file for each row": ("sample_submission.zip", zipped_files),
}


@pytest.fixture(params=FORMS, name="form")
def _form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def competition(root: Path, form: str) -> Path:
    """Return the tabular competition's folder with its sample in another format."""
    folders.tabular(root)
    rows = [{"id": int(r["id"]), "price": 0.0} for r in folders.read_csv(root / "test.csv")]
    (root / "sample_submission.csv").unlink()
    name, write = FORMS[form]
    write(root / name, rows)
    return root


def dealt(tmp_path: Path, form: str) -> TableSet:
    """Deal six rows and the awkward ones."""
    own = profile.read(competition(tmp_path / "data", form))
    assert own.questions == (), own.questions
    return tables.write(tmp_path / "hidden", own, Plan(units=6))


def checked(made: TableSet, working: Path) -> dict[str, Check]:
    """Check the submission in a folder."""
    expected = Expected(profile=made.profile, ids=made.ids, labels=made.labels)
    done, _ = submission_checks.check(working, expected)
    return {check.name: check for check in done}


def submit(made: TableSet, working: Path, form: str, **changes: Any) -> dict[str, Check]:
    """Write a submission of different answers, with some of the rows' values changed."""
    working.mkdir(exist_ok=True)
    rows = [{"id": int(name), "price": 100.5 + n} for n, name in enumerate(made.ids)]
    drop = changes.pop("drop", 0)
    rows = [row | changes for row in rows[drop:]]
    path = working / made.profile.hidden.submission
    write = folders.write_csv if path.suffix == ".csv" else FORMS[form][1]
    write(path, rows)
    return checked(made, working)


def test_is_dealt_in_its_own_format(tmp_path: Path, form: str) -> None:
    made = dealt(tmp_path, form)
    shown = [row["id"] for row in folders.read_csv(made.folder / "test.csv")]
    assert sorted(made.ids) == sorted(shown)
    name = FORMS[form][0]
    assert made.profile.hidden.submission == (
        "submission.csv" if name.endswith(".csv.zip") else f"submission{Path(name).suffix}"
    )
    again = profile.read(made.folder, Hidden())
    assert again.sample is not None
    assert sorted(again.sample.values(again.hidden.id[0])) == sorted(shown)
    original = tmp_path / "data" / name
    if name.endswith(".json"):
        old, new = (json.loads(p.read_text()) for p in (original, made.folder / name))
        assert type(old) is type(new)
        if isinstance(old, list):
            assert list(old[0]) == list(new[0])
            assert all(isinstance(row["id"], int) and row["price"] == 0.0 for row in new)
    else:
        with zipfile.ZipFile(made.folder / name) as archive:
            names = archive.namelist()
        assert names == ["submission.csv"] or set(names) == {f"masks/{i}.png" for i in made.ids}


def test_a_right_submission_passes(tmp_path: Path, form: str) -> None:
    made = dealt(tmp_path, form)
    done = submit(made, tmp_path / "working", form)
    assert {c.name: c.message for c in done.values() if c.status == "failed"} == {}
    assert done["constant"].status == "passed"
    assert done["ids"].message == f"all {len(made.ids)}, once each"


def test_planted_mistakes_are_seen(tmp_path: Path, form: str) -> None:
    made = dealt(tmp_path, form)
    done = submit(made, tmp_path / "working", form, drop=2)
    assert f"2 of {len(made.ids)} ids are missing" in done["ids"].message
    assert submit(made, tmp_path / "working", form, price=0.25)["constant"].status != "passed"
    if form in ("records", "columns", "numbered", "objects") or "table" in form:
        done = submit(made, tmp_path / "working", form, price="high")
        assert "are no numbers" in done["values"].message
    if form in ("records", "columns", "numbered") or "table" in form:
        done = submit(made, tmp_path / "working", form, note=1)
        assert "not asked for: 'note'" in done["columns"].message


def test_json_without_rows_says_why_a_hook_is_needed(tmp_path: Path) -> None:
    folders.tabular(tmp_path)
    (tmp_path / "sample_submission.csv").rename(tmp_path / "sample_submission.json")
    (tmp_path / "sample_submission.json").write_text("[[1, 2], [3, 4]]")
    with pytest.raises(InputError, match=r"neither an object by id nor .*a hook"):
        profile.read(tmp_path)


def test_an_archive_beside_what_it_holds_is_no_second_sample(tmp_path: Path) -> None:
    folders.tabular(tmp_path)
    with zipfile.ZipFile(tmp_path / "sample_submission.csv.zip", "w") as archive:
        archive.write(tmp_path / "sample_submission.csv", "sample_submission.csv")
    found = profile.read(tmp_path)
    assert (found.hidden.sample, found.questions) == ("sample_submission.csv", ())


def test_ids_of_columns_that_look_like_none_are_set_by_hand(tmp_path: Path) -> None:
    """{"row": […], "x": […]} could be two ids with their answers."""
    folders.tabular(tmp_path)
    (tmp_path / "sample_submission.csv").unlink()
    content = {"row": [60, 61], "price": [0.0, 0.0]}
    (tmp_path / "sample_submission.json").write_text(json.dumps(content))
    assert "id" in {question.key for question in profile.read(tmp_path).questions}
    found = profile.read(tmp_path, Hidden(id=("row",), row_id=("{id}",)))
    assert found.hidden.targets == ("price",)
