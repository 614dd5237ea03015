"""The hidden test set: what real ones hold, and what a competition's folder gives."""

import csv
from pathlib import Path

import pytest

from bundler.competition.screening import awkward, hidden_test
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.errors import InputError
from inference import submission
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from train.phantom import write_competition

CONFIG = PreprocessConfig(size=(64, 48))


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition folder with training images."""
    place = tmp_path_factory.mktemp("competition")
    write_competition(place, patients=5, prevalence=0.3, size=(96, 80))
    return place


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> HiddenSet:
    """The awkward cases alone."""
    place = tmp_path_factory.mktemp("hidden") / "set"
    return hidden_test.write(place, patients=0, competition=None, phantom_size=(96, 80))


def test_every_awkward_case_is_there(drawn: HiddenSet) -> None:
    cases = {image.case for image in drawn.planted}
    assert {case for _, case in awkward.CASES} == cases
    by_breast: dict[str, int] = {}
    for image in drawn.planted:
        by_breast[image.row["prediction_id"]] = by_breast.get(image.row["prediction_id"], 0) + 1
    assert {1, 2, 8} <= set(by_breast.values())
    assert any(image.row["age"] == "" for image in drawn.planted)
    assert all(image.row["patient_id"].startswith("00") for image in drawn.planted)


def test_the_runner_reads_what_can_be_read_and_names_the_rest(drawn: HiddenSet) -> None:
    failures, syntaxes = {}, set()
    for image in drawn.planted:
        try:
            syntaxes.add(load(drawn.path(image.row), [CONFIG]).transfer_syntax)
        except ImageError as error:
            failures[image.case] = error.kind
    assert failures == {"truncated": "truncated", "missing": "missing"}
    assert len(syntaxes) == 6


def test_the_tables_are_read_as_the_notebook_reads_them(drawn: HiddenSet) -> None:
    rows = submission.read_test(drawn.folder)
    assert [row.image_id for row in rows] == [row["image_id"] for row in drawn.rows]
    assert "reader_note" in rows[0].columns
    with (drawn.folder / "sample_submission.csv").open(newline="") as stream:
        assert [row["prediction_id"] for row in csv.DictReader(stream)] == drawn.breasts


def test_samples_patients_of_the_users_own_training_set(competition: Path, tmp_path: Path) -> None:
    one = hidden_test.write(
        tmp_path / "1", patients=3, competition=competition, phantom_size=(8, 8)
    )
    two = hidden_test.write(
        tmp_path / "2", patients=3, competition=competition, phantom_size=(8, 8)
    )
    assert one.sample == two.sample
    assert len({row["patient_id"] for row in one.sample}) == 4  # three do not show each machine
    assert set(one.labels) == {row["prediction_id"] for row in one.sample}
    assert set(one.labels.values()) <= {0, 1}
    for row in one.sample:
        assert load(one.path(row), [CONFIG]).inputs[0].shape == (64, 48)


def test_says_what_a_wrong_folder_lacks(competition: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is no table of the competition"):
        hidden_test.write(
            tmp_path / "1", patients=2, competition=tmp_path / "bad", phantom_size=(8, 8)
        )
    (tmp_path / "bad" / "train.csv").write_text((competition / "train.csv").read_text())
    with pytest.raises(InputError, match=r"train_images is missing or holds no patient of train"):
        hidden_test.write(
            tmp_path / "2", patients=2, competition=tmp_path / "bad", phantom_size=(8, 8)
        )
    with (competition / "train.csv").open(newline="") as stream:
        patient = next(csv.DictReader(stream))["patient_id"]
    (tmp_path / "bad" / "train_images" / patient).mkdir(parents=True)
    with pytest.raises(InputError, match="is missing, and train"):
        hidden_test.write(
            tmp_path / "3", patients=2, competition=tmp_path / "bad", phantom_size=(8, 8)
        )


def test_takes_the_patients_that_are_there(competition: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    (part / "train_images").mkdir(parents=True)
    (part / "train.csv").write_text((competition / "train.csv").read_text())
    some = sorted((competition / "train_images").iterdir())[1]
    (part / "train_images" / some.name).symlink_to(some)
    drawn = hidden_test.write(tmp_path / "1", patients=3, competition=part, phantom_size=(8, 8))
    assert {row["patient_id"] for row in drawn.sample} == {some.name}
    assert drawn.source.startswith("1 patients of")
