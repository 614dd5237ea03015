"""A competition of tables, rehearsed by the user's own command, in the sandbox, as on Kaggle."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.hidden import Hidden
from bundler.rehearse.result import Rehearsal
from bundler.settings import Settings
from tests.bundler.competition import folders
from tests.bundler.competition.test_general import SUBMIT
from tests.failures.conftest import House, failed, runner, write_code_bundle

ANSWER = "def answer(row): return float(row['area']) + len(row['colour'])\n"
LEARN = """
import csv, os
from pathlib import Path

root = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
# What is public on Kaggle is here, too: the training rows that are not hidden.
known = {row["id"]: float(row["price"]) for row in csv.DictReader((root / "train.csv").open())}
"""


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    return folders.tabular(tmp_path / "data")


def rehearse(
    house: House, competition: Path, scratch: Path, tree: Mapping[str, str], **more: Any
) -> Rehearsal:
    """Rehearse a tree whose command is `python submit.py`, on six rows."""
    command = more.pop("run", "python submit.py")
    settings = Settings(
        root=scratch, target=("host",), competition="houses", run=command, accelerator="none"
    )
    own = replace(house, settings=replace(settings, **more.pop("settings", {})))
    write_code_bundle(own.dist / "code", {**runner(), **tree}, scratch)
    own.write_notebook()
    return own.rehearse(units=6, competition_dir=competition, layouts=("new", "legacy"), **more)


def test_a_right_command_passes_all_three_runs(
    house: House, competition: Path, tmp_path: Path
) -> None:
    result = rehearse(house, competition, tmp_path, {"submit.py": ANSWER + SUBMIT})
    assert result.passed, result.summary()
    passed = {check.name for check in result.checks if check.status == "passed"}
    assert passed >= {
        "submission.csv",
        "submission.csv (legacy)",
        "submission.csv (public test)",
        "order and neighbours",
        "same content, same answer",
        "answers depend on the input",
        "provenance",
    }
    assert "6 of id from train.csv" in str(result.provenance.hidden_test)


def test_a_submission_in_json(house: House, competition: Path, tmp_path: Path) -> None:
    """By columns, as pandas' `to_dict("list")` has it; dealt and checked without a hook."""
    rows = folders.read_csv(competition / "test.csv")
    (competition / "sample_submission.csv").unlink()
    sample = {"id": [int(row["id"]) for row in rows], "price": [0.0] * len(rows)}
    (competition / "sample_submission.json").write_text(json.dumps(sample))
    script = (
        "import csv, json, os\nfrom pathlib import Path\n"
        "root = Path(os.environ['RSNA_BUNDLE_COMPETITION'])\n"
        "rows = {row['id']: row for row in csv.DictReader((root / 'test.csv').open())}\n"
        "sample = json.loads((root / 'sample_submission.json').read_text())\n"
        "sample['price'] = [answer(rows[str(name)]) for name in sample['id']]\n"
        "Path('submission.json').write_text(json.dumps(sample))\n"
    )
    result = rehearse(house, competition, tmp_path, {"submit.py": ANSWER + script})
    assert result.passed, result.summary()
    statuses = {check.name: check.status for check in result.checks}
    assert statuses["submission.json (public test)"] == statuses["columns"] == "passed"
    assert statuses["order and neighbours"] == "passed"
    lost = script.replace(
        "Path('submission.json')", "sample['id'][0] += 1\nPath('submission.json')"
    )
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": ANSWER + lost}))
    assert "ids" in problems


def test_hidden_rows_cannot_be_looked_up_in_the_training_table(
    house: House, competition: Path, tmp_path: Path
) -> None:
    """A command that finds its test rows among the training rows finds none here, as there."""
    look_up = LEARN + "def answer(row): return known[row['id']]\n" + SUBMIT
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": look_up}))
    assert "KeyError" in problems["notebook ran"]


def test_a_command_that_fails_on_the_public_test_alone(
    house: House, competition: Path, tmp_path: Path
) -> None:
    script = "import os\nRERUN = os.environ.get('KAGGLE_IS_COMPETITION_RERUN')\n"
    script += ANSWER + SUBMIT + "assert RERUN, 'only one row'\n"
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": script}))
    assert "only one row" in problems["notebook ran (public test)"]


def test_answers_by_position_are_seen_in_the_second_run(
    house: House, competition: Path, tmp_path: Path
) -> None:
    script = ANSWER + SUBMIT.replace("answer(row) for row", "n for n, row").replace(
        "for n, row in rows", "for n, row in enumerate(rows)"
    )
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": script}))
    assert "order and neighbours" in problems


def test_the_public_folder_and_the_users_files_are_as_before(
    house: House, competition: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in competition.rglob("*") if path.is_file()}
    script = (
        "import os\nfrom pathlib import Path\n"
        "root = Path(os.environ['RSNA_BUNDLE_COMPETITION'])\n"
        "for path in root.glob('*.csv'):\n"
        "    try: path.write_text('ruined')\n"
        "    except OSError: pass\n"
    )
    result = rehearse(house, competition, tmp_path, {"submit.py": script + ANSWER + SUBMIT})
    assert "tried to write" in failed(result)["writes"]
    assert {path: path.read_bytes() for path in before} == before


def test_a_users_own_module_in_src(house: House, competition: Path, tmp_path: Path) -> None:
    tree = {"src/mine/__init__.py": "", "src/mine/inference.py": ANSWER + SUBMIT}
    run = f"{Path(sys.executable).name} -m mine.inference"
    result = rehearse(house, competition, tmp_path, tree, run=run)
    assert result.passed, result.summary()


def test_a_command_without_onnx_runtime_may_ask_for_a_gpu(
    house: House, competition: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image.json"
    about = {"format": 1, "name": "gpu-image", "python": sys.version.split()[0], "system": "linux"}
    about |= {"machine": os.uname().machine, "release": "2.17", "cuda": "12.8", "installed": []}
    image.write_text(json.dumps(about | {"gpus": ["Tesla T4"], "cpus": 4}))
    gpu = {"target": (str(image),), "accelerator": "NvidiaTeslaT4"}
    tree = {"submit.py": ANSWER + SUBMIT}
    result = rehearse(house, competition, tmp_path, tree, settings=gpu)
    assert "accelerator" not in {check.name for check in result.checks}
    assert result.passed, result.summary()


def test_a_command_that_fails_on_a_planted_row_is_told_which_it_was(
    house: House, competition: Path, tmp_path: Path
) -> None:
    """Rooms are missing in some rows; and no colour was ever seen but red, green and blue."""
    script = (
        "PRICES = {'red': 1.0, 'green': 2.0, 'blue': 3.0}\n"
        "def answer(row):\n"
        "    if row['colour'] not in PRICES: raise ValueError('which colour? ' + row['id'])\n"
        "    return float(row['area']) * PRICES[row['colour']]\n"
    )
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": script + SUBMIT}))
    assert "was planted: unseen category." in problems["notebook ran"]
    assert "leave the case out of `awkward`" in problems["notebook ran"]
    # An error that names no row: what was planted is said all the same.
    nameless = script.replace(" + row['id']", "")
    problems = failed(rehearse(house, competition, tmp_path, {"submit.py": nameless + SUBMIT}))
    assert "may be one that was planted: unseen category (" in problems["notebook ran"]
    # As the message says: this competition has no other colours.
    hidden = Hidden(awkward=("missing values",))
    result = rehearse(
        house, competition, tmp_path, {"submit.py": script + SUBMIT}, settings={"hidden": hidden}
    )
    assert result.passed, result.summary()
