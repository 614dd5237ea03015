"""Hooks and metrics run in a process of their own, with the user's modules of any name."""

from pathlib import Path

import pytest

from bundler.competition import metric, profile, submission_file, tables, user_code
from bundler.competition.tables import Plan
from bundler.errors import InputError
from bundler.hidden import Hidden
from tests.bundler.competition import folders

HOOK = """
import csv
from pathlib import Path

def write(folder: Path, units: int, seed: int):
    rows = [{"id": f"s{seed}u{n}", "x": str(n)} for n in range(units)]
    for name, columns in (("test.csv", ("id", "x")), ("sample_submission.csv", ("id", "y"))):
        with open(folder / name, "w", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row | {"y": "0"} for row in rows)
    return [{"id": row["id"], "y": 2 * int(row["x"])} for row in rows]
"""


def repository(tmp_path: Path, **files: str) -> Path:
    root = tmp_path / "repository"
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_hook_writes_the_folder_and_returns_the_answers(tmp_path: Path) -> None:
    root = repository(tmp_path, mine=HOOK)
    (tmp_path / "hidden").mkdir()
    solution = user_code.write_hidden(
        "mine:write", tmp_path / "hidden", root=root, competition=None, units=3, seed=5
    )
    assert solution is not None
    assert solution[2] == {"id": "s5u2", "y": "4"}
    assert folders.read_csv(tmp_path / "hidden" / "test.csv")[0] == {"id": "s5u0", "x": "0"}


@pytest.mark.parametrize("name", ["bundler", "inference", "train", "click", "json_tools"])
def test_their_modules_may_have_our_names(tmp_path: Path, name: str) -> None:
    text = "def write(folder):\n    (folder / 'made.txt').write_text(__file__)\n"
    root = repository(tmp_path, **{name: text})
    user_code.write_hidden(f"{name}:write", tmp_path, root=root, competition=None, units=1, seed=0)
    assert (tmp_path / "made.txt").read_text() == str(root / f"{name}.py")


def test_a_module_in_src(tmp_path: Path) -> None:
    root = repository(tmp_path, src__deep__deal="def write(folder):\n    return None\n")
    arguments = {"root": root, "competition": None, "units": 1, "seed": 0}
    assert user_code.write_hidden("deep.deal:write", tmp_path, **arguments) is None


def test_a_failure_names_the_function_and_shows_the_traceback(tmp_path: Path) -> None:
    root = repository(tmp_path, mine="def write(folder):\n    raise KeyError('patient')\n")
    with pytest.raises(InputError, match=r"(?s)mine:write failed.*KeyError: 'patient'"):
        user_code.write_hidden("mine:write", tmp_path, root=root, competition=None, units=1, seed=0)
    with pytest.raises(InputError, match=r"(?s)nobody:write failed.*No module named 'nobody'"):
        user_code.write_hidden(
            "nobody:write", tmp_path, root=root, competition=None, units=1, seed=0
        )


METRIC = """
class ParticipantVisibleError(Exception):
    pass

def score(solution, submission, row_id_column_name):
    # As Kaggle's own metrics: both are aligned, the id goes.
    del solution[row_id_column_name]
    del submission[row_id_column_name]
    if submission.isna().any().any():
        raise ParticipantVisibleError("NaN")
    return float(((solution - submission) ** 2).mean().mean() ** 0.5)
"""


def scored(tmp_path: Path, shift: float) -> tuple[str, str]:
    root = folders.tabular(tmp_path / "c")
    hidden = Hidden(metric="metrics.mine:score")
    made = tables.write(tmp_path / "hidden", profile.read(root, hidden), Plan(units=6))
    rows = [
        {"id": i, "price": str(float(made.labels[i]["price"]) + shift if i in made.labels else 1)}
        for i in reversed(made.ids)
    ]
    folders.write_csv(tmp_path / "submission.csv", rows)
    found = submission_file.read(tmp_path / "submission.csv", ("id",))
    check = metric.compute(
        made.profile, found, made.labels, repository(tmp_path, metrics__mine=METRIC)
    )
    assert check is not None
    return check.status, check.message


def test_the_users_metric_is_called_as_kaggle_calls_it(tmp_path: Path) -> None:
    """In another order than the solution's, with planted rows that have no right answer."""
    status, message = scored(tmp_path, 3.0)
    assert status == "passed"
    assert message == "metrics.mine:score is 3 on 6 rows whose answers are known"


def test_a_metric_that_fails_is_a_failed_check(tmp_path: Path) -> None:
    status, message = scored(tmp_path, float("nan"))
    assert status == "failed"
    assert "ParticipantVisibleError: NaN" in message
