"""The competition's folder is found by its files, however they are called."""

from pathlib import Path

import pytest

from inference.boot import competition
from inference.errors import InputError, UsageError


def mounted(root: Path, *files: str, name: str = "competitions/leaf-disease") -> Path:
    """Make a mounted folder with some empty files."""
    folder = root / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()
    return folder


@pytest.mark.parametrize(
    "file",
    [
        "test.csv",
        "test.parquet",
        "sample_submission.csv",
        "sample_submission.json",
        "stage_2_sample_submission.csv",
        "SampleSubmission.csv",
        "sample-submission.zip",
        "submission_sample.tsv",
        "sub_sample.csv",
    ],
)
def test_one_file_is_enough(tmp_path: Path, file: str) -> None:
    folder = mounted(tmp_path, "readme.md", file)
    assert competition.find(tmp_path) == folder


@pytest.mark.parametrize("file", ["latest.csv", "submission.csv", "sample_submission.ipynb"])
def test_what_looks_like_no_competition_is_none(tmp_path: Path, file: str) -> None:
    """Such as the output of another notebook, which is mounted beside it."""
    mounted(tmp_path, file)
    with pytest.raises(InputError, match="No competition is mounted"):
        competition.find(tmp_path)


def test_two_are_asked_about(tmp_path: Path) -> None:
    mounted(tmp_path, "SampleSubmission.csv")
    mounted(tmp_path, "test.csv", name="other")
    with pytest.raises(UsageError, match="Choose one with --competition"):
        competition.find(tmp_path)
    assert competition.find(tmp_path, "other").name == "other"


@pytest.mark.parametrize(
    ("files", "suffixes"),
    [
        (("stage_2_sample_submission.csv", "stage_2_train.csv"), (".csv",)),
        (("SampleSubmission.json",), (".json",)),
        (("test.csv",), (".csv", ".parquet", ".zip", ".json")),
    ],
)
def test_the_sample_says_which_ending_a_submission_has(
    tmp_path: Path, files: tuple[str, ...], suffixes: tuple[str, ...]
) -> None:
    assert competition.submission_suffixes(mounted(tmp_path, *files)) == suffixes
