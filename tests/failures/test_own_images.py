"""A rehearsal on the user's own training images: labels are known, so the score is, too."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.boot.manifest import content_id
from tests.failures.conftest import House, failed
from train.phantom import write_competition


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition folder of small images; a third of the breasts is sick."""
    place = tmp_path_factory.mktemp("own") / "competition"
    write_competition(place, patients=24, prevalence=0.33, contrast=0.0, size=(64, 48))
    return place


def claim(house: House, pfbeta: float, prevalence: float = 0.33) -> None:
    """Let the model bundle claim a score in cross-validation, at a share of cancers."""
    path = house.dist / "model" / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["models"][0]["prevalence"] = prevalence
    manifest["models"][0]["checkpoints"][0]["metrics"] = {"pfbeta": pfbeta}
    manifest["id"] = content_id(manifest)
    path.write_text(json.dumps(manifest))
    house.write_notebook()


def test_a_score_far_below_cross_validation(house: House, competition: Path) -> None:
    claim(house, 0.999)
    low = replace(house, settings=replace(house.settings, hidden_units=500))
    messages = failed(low.rehearse(competition_dir=competition, units=24))
    assert "pF1" in messages["score"]
    assert "0.999 in cross-validation" in messages["score"]


@pytest.mark.slow
def test_too_few_labels_say_nothing(house: House, competition: Path) -> None:
    claim(house, 0.999)
    rehearsal = house.rehearse(competition_dir=competition, units=2)
    assert rehearsal.passed, rehearsal.summary()
    (check,) = [check for check in rehearsal.checks if check.name == "score"]
    assert check.status == "unproven"
    assert "too few to say anything" in check.message
    assert "2 patients of competition's training images" in str(rehearsal.provenance.hidden_test)


@pytest.mark.slow
def test_scores_at_other_shares_of_cancer_are_not_compared(house: House, competition: Path) -> None:
    claim(house, 0.999, prevalence=0.02)
    rehearsal = house.rehearse(competition_dir=competition, units=24)
    (check,) = [check for check in rehearsal.checks if check.name == "score"]
    assert check.status == "unproven"
    assert "not to be compared" in check.message
