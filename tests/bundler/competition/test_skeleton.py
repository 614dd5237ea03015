"""The submit.py of a new repository is run: a valid submission, before any model."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bundler.competition import skeleton
from bundler.competition.skeleton import Tables


def submit(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a submit.py in `folder`, whose data lie in the folder beside it."""
    path = folder / "submit.py"
    path.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=folder,
        env=os.environ | {"RSNA_BUNDLE_COMPETITION": str(folder / "the data")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for a competition's files."""
    folder = tmp_path / "the data"
    folder.mkdir()
    return folder


SAMPLES = {
    "whole numbers, leading zeros": "scan,ill\n0100,0\n0007,0\n",
    "text": "scan,label\n0100,healthy\n0007,healthy\n",
    "an empty answer": "id,PredictionString\na1,\nb2,\n",
    "two targets": 'id,"a, quoted",b\n1,0.5,0.25\n2,0.5,0.25\n',
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_is_valid_before_there_is_a_model(tmp_path: Path, data: Path, sample: str) -> None:
    (data / "sample_submission.csv").write_text(sample)
    (data / "test.csv").write_text("scan,age\n0100,3\n0007,4\n")
    result = submit(tmp_path, skeleton.submit("leaf-disease", Tables()))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "submission.csv").read_text() == sample
    assert "2 rows, 0 predicted" in result.stdout


PREDICTED = """
    rows = test.assign(ill=test["age"] / 10)
    return rows[rows["age"] > 3][["scan", "ill"]]
"""


@pytest.mark.parametrize("ids", [(), ("scan",)])
def test_predictions_go_to_their_rows(tmp_path: Path, data: Path, ids: tuple[str, ...]) -> None:
    (data / "sample_submission.csv").write_text("scan,ill\n0100,0\n0007,0\n0008,1\n")
    (data / "test.csv").write_text("scan,age\n0007,4\n0100,3\n")  # another order, and no 0008
    text = skeleton.submit("leaf-disease", Tables(ids=ids))
    text = text.replace("\n    return pd.DataFrame(columns=IDS)\n", PREDICTED)
    result = submit(tmp_path, text)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "submission.csv").read_text() == ("scan,ill\n0100,0.0\n0007,0.4\n0008,1.0\n")


def test_parquet_keeps_its_types(tmp_path: Path, data: Path) -> None:
    sample = pd.DataFrame({"row": [100, 7], "scan": ["01", "02"], "ill": [0.5, 0.5]})
    sample.to_parquet(data / "sample.parquet", index=False)
    pd.DataFrame({"row": [100, 7], "age": [3, 4]}).to_parquet(data / "test.parquet")
    tables = Tables(
        sample="sample.parquet",
        test="test.parquet",
        submission="submission.parquet",
        ids=("row", "scan"),
    )
    result = submit(tmp_path, skeleton.submit("leaf-disease", tables))
    assert result.returncode == 0, result.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "submission.parquet"), sample)


def test_predictions_in_parquet(tmp_path: Path, data: Path) -> None:
    sample = pd.DataFrame({"scan": [100, 7], "ill": [0, 0]})
    sample.to_parquet(data / "sample_submission.parquet", index=False)
    (data / "test.csv").write_text("scan,age\n7,4\n100,6\n")
    tables = Tables(
        sample="sample_submission.parquet", submission="submission.parquet", ids=("scan",)
    )
    text = skeleton.submit("leaf-disease", tables)
    text = text.replace("\n    return pd.DataFrame(columns=IDS)\n", PREDICTED)
    result = submit(tmp_path, text)
    assert result.returncode == 0, result.stderr
    written = pd.read_parquet(tmp_path / "submission.parquet")
    assert written.to_dict("list") == {"scan": [100, 7], "ill": [0.6, 0.4]}


def test_without_a_test_table(tmp_path: Path, data: Path) -> None:
    (data / "sample_submission.csv").write_text("scan,ill\n0100,0\n")
    result = submit(tmp_path, skeleton.submit("leaf-disease", Tables(test="", ids=("scan",))))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "submission.csv").read_text() == "scan,ill\n0100,0\n"


@pytest.mark.parametrize("suffix", [".json", ".zip"])
def test_another_format_is_the_sample(tmp_path: Path, data: Path, suffix: str) -> None:
    (data / f"sample{suffix}").write_bytes(b"{}")
    tables = Tables(sample=f"sample{suffix}", test="", submission=f"submission{suffix}")
    result = submit(tmp_path, skeleton.submit("leaf-disease", tables))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / f"submission{suffix}").read_bytes() == b"{}"


def test_names_that_are_no_identifiers(tmp_path: Path, data: Path) -> None:
    (data / "sample {x}.csv").write_text('"a ""b"" {c}\\",ill\n01,0\n', encoding="utf-8")
    tables = Tables(sample="sample {x}.csv", test="", ids=('a "b" {c}\\',))
    result = submit(tmp_path, skeleton.submit("leaf-disease", tables))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "submission.csv").read_text().endswith("\n01,0\n")


def test_is_formatted(tmp_path: Path) -> None:
    parquet = Tables(sample="s.parquet", test="t.parquet", submission="x.parquet", ids=("a", "b"))
    for number, tables in enumerate((Tables(), parquet, Tables(test="", ids=("a",)))):
        path = tmp_path / f"submit{number}.py"
        path.write_text(skeleton.submit("leaf-disease", tables))
        for words in (["check", "--select", "E,F,I,B,UP"], ["format", "--check"]):
            command = [sys.executable, "-m", "ruff", *words, "--line-length=100", "--isolated"]
            subprocess.run([*command, str(path)], check=True)


def test_an_untouched_one_is_known_until_it_predicts() -> None:
    for tables in (Tables(), Tables(sample="sample.json", submission="submission.json")):
        text = skeleton.submit("leaf-disease", tables)
        assert skeleton.what_to_replace(text).startswith("Replace")
    text = skeleton.submit("leaf-disease", Tables())
    changed = text.replace("return pd.DataFrame(columns=IDS)", "return test[IDS].assign(ill=0.5)")
    assert changed != text
    assert skeleton.what_to_replace(changed) == ""
    # What else is changed around it makes no answer of it.
    assert skeleton.what_to_replace(text.replace("print(", "print('mine', "))
