"""The submit.py that `init` writes for a gateway competition is run: valid before any model."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bundler.competition import profile
from bundler.competition.gateway import skeleton
from bundler.competition.skeleton import what_to_replace
from tests.bundler.competition.gateway.phantom import GATEWAY, change, competition

SERVER = "kaggle_evaluation/gait_inference_server.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return competition(tmp_path / "the data")


def written(root: Path) -> str:
    return skeleton.submit("phantom-gait", profile.read(root))


def served(root: Path, text: str) -> pl.DataFrame:
    """Run a submit.py beside the data, twice, as on the laptop; return what the gateway wrote."""
    (root.parent / "submit.py").write_text(text)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-B", "-W", "error", "submit.py"],
            cwd=root.parent,
            env=os.environ | {"RSNA_BUNDLE_COMPETITION": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return pl.read_parquet(root.parent / "submission.parquet")


def test_serves_as_it_is_written(root: Path) -> None:
    text = written(root)
    assert "def predict(row, signal):" in text
    assert "import polars" not in text
    answers = served(root, text)
    assert answers.columns == ["walk_id", "fall"]
    assert set(answers["fall"]) <= {0, 1}
    assert answers["fall"].n_unique() == 1


def test_without_a_server_in_the_package(root: Path) -> None:
    (root / SERVER).unlink()
    text = written(root)
    assert "class Server(kaggle_evaluation.core.templates.InferenceServer)" in text
    assert len(served(root, text)) == 3


def test_a_table_for_many_rows_of_a_call(root: Path) -> None:
    """A gateway that hands the whole test over, and has no column for a single value."""
    change(root, GATEWAY, ', target_column_name="fall"', "")
    loop = (root / GATEWAY).read_text().partition('        for walk_id in test["walk_id"]:')
    rest = loop[2].partition("    def competition_specific")
    batches = '        yield (test,), test.select("walk_id")\n\n'
    (root / GATEWAY).write_text(f"{loop[0]}{batches}    def competition_specific{rest[2]}")
    # Without `target_column_name` only a sample shows what is predicted.
    sample = "walk_id,fall\n000900,0.25\n000901,0.25\n000902,0.25\n"
    (root / "sample_submission.csv").write_text(sample)
    text = written(root)
    assert "def predict(test):" in text
    assert "rows = len(test)" in text
    assert "tempfile" not in text  # it shares no file
    assert served(root, text)["fall"].to_list() == [0.25] * 3


@pytest.mark.parametrize(
    ("batch", "arguments", "rows"),
    [
        ('yield (row, signal), row["walk_id"]', "row, signal", "rows = len(row)"),
        ('yield (row["age"], signal), row["walk_id"]', "data_1, signal", None),
        ("yield (row, signal), walk_id", "row, signal", 'return answer["fall"]'),
        ("batch = (row, signal); yield batch, walk_id", "row, signal", 'return answer["fall"]'),
        ("yield make(row), walk_id", "*data", 'return answer["fall"]'),
        ("yield (row, signal), make_ids(row)", "row, signal", None),
    ],
)
def test_calls_as_hosts_write_them(
    root: Path, batch: str, arguments: str, rows: str | None
) -> None:
    line = 'yield (row, signal), pl.DataFrame({"walk_id": [walk_id]})'
    change(root, GATEWAY, line, batch)
    text = written(root)
    assert f"def predict({arguments}):" in text
    first = arguments.partition(",")[0]
    assert (rows or f'rows = len({first}) if hasattr({first}, "columns") else 1') in text
    compile(text, "submit.py", "exec")


@pytest.mark.parametrize(
    ("paths", "data"),
    [
        (
            "            self.signals, self.test_path = map(Path, self.data_paths)",
            '("test_signals", "test.csv")',
        ),
        (
            "            self.signals = Path(self.data_paths[0])\n"
            "            self.test_path = Path(self.data_paths[1])",
            '("test_signals", "test.csv")',
        ),
        # Not written out: as they are read.
        ("            self.unpack(self.data_paths)", '("test.csv", "test_signals")'),
    ],
)
def test_data_in_the_order_in_which_the_gateway_takes_them(
    root: Path, paths: str, data: str
) -> None:
    change(
        root,
        GATEWAY,
        "            self.test_path, self.signals = map(Path, self.data_paths)",
        paths,
    )
    assert f"DATA = {data}" in written(root)


@pytest.mark.parametrize(
    ("label", "answer"),
    [("Wave hello", '"Wave hello"'), ("0.5", "0.5"), ("7", "7"), ("", "0.0")],
)
def test_the_answer_of_a_training_row(root: Path, label: str, answer: str) -> None:
    """So that it is of a kind that the host takes: one of the labels, a number."""
    table = root / "train.csv"
    lines = table.read_text().splitlines()
    rows = [f"{line.rpartition(',')[0]},{label}" for line in lines[1:]]
    table.write_text("\n".join([lines[0], *rows]) + "\n")
    assert f'    answer = {{"fall": {answer}}}\n' in written(root)


def test_many_targets_stand_on_lines_of_their_own(root: Path) -> None:
    names = [f"finding number {number}" for number in range(9)]
    zeros = ",".join("0" for _ in names)
    sample = f"walk_id,{','.join(names)}\n000900,{zeros}\n000901,{zeros}\n"
    (root / "sample_submission.csv").write_text(sample)
    text = written(root)
    assert '    answer = {\n        "finding number 0": 0,\n' in text
    assert max(map(len, text.splitlines())) <= 100
    assert what_to_replace(text)


def test_a_game_shows_no_calls(root: Path) -> None:
    change(root, GATEWAY, "generate_data_batches", "play")
    assert written(root) == ""


def test_is_known_until_somebody_answers_otherwise(root: Path) -> None:
    text = written(root)
    assert what_to_replace(text) == "Replace `predict()`"
    for own in ("return 0.5", "return float(model(row))"):
        assert what_to_replace(text.replace('return answer["fall"]', own)) == ""
    change(root, GATEWAY, 'pl.DataFrame({"walk_id": [walk_id]})', 'row["walk_id"]')
    assert what_to_replace(written(root)) == "Replace `predict()`"
