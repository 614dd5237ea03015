"""Answers that went astray, in both outputs: to other breasts, or to none.

With a binary output nearly all answers are 0, so that nothing in submission.csv itself tells
swapped breasts from the right ones.
"""

from typing import Any

import pytest

from bundler.rehearse.result import Rehearsal
from tests.failures.conftest import House, Plant, failed, runner, write_model_bundle

BOTH = ("new", "legacy")  # the whole plan: the second run has the threshold of the rehearsal

# What is added to a module of the runner, and the checks that are to fail, with a part of what each
# says. Every one of them leaves a submission.csv that Kaggle would take.
ASTRAY: dict[str, tuple[str, str, dict[str, str]]] = {
    "a permutation of the breasts": (
        "inference/submission.py",
        """
_decide = decide
def decide(*args, **named):
    decided, fallbacks = _decide(*args, **named)
    values = list(decided.values())
    return dict(zip(decided, values[1:] + values[:1])), fallbacks
""",
        {"decisions": "The same answers went to other breasts"},
    ),
    "left and right swapped": (
        "inference/submission.py",
        """
_decide = decide
def decide(*args, **named):
    decided, fallbacks = _decide(*args, **named)
    other = {"L": "R", "R": "L"}
    sides = {name: name[:-1] + other.get(name[-1], name[-1]) for name in decided}
    return {name: decided.get(sides[name], decided[name]) for name in decided}, fallbacks
""",
        {"decisions": "The same answers went to other breasts"},
    ),
    "answers joined to a table that was sorted meanwhile": (
        "inference/submission.py",
        """
_decide = decide
def decide(*args, **named):
    decided, fallbacks = _decide(*args, **named)
    by_name = dict(zip(sorted(decided), decided.values()))
    return {name: by_name[name] for name in decided}, fallbacks
""",
        {"decisions": "The same answers went to other breasts"},
    ),
    "a second half that gets a constant": (
        "inference/pipeline.py",
        """
_attempt = attempt
def attempt(images, *args, **named):
    outcome = _attempt(images, *args, **named)
    for key in outcome.probabilities:
        if key >= len(images) // 2:
            outcome.probabilities[key] = 0.0123
    return outcome
""",
        {"parity": "0.0123 in the run", "images in another order": "0.0123 among more images"},
    ),
    "a second half that is left out": (
        "inference/submission.py",
        """
_aggregate = aggregate
def aggregate(images, probabilities, *args):
    half = {key: value for key, value in probabilities.items() if key < len(images) // 2}
    breasts = _aggregate(images, half, *args)
    return {name: 0.02 if value is None else value for name, value in breasts.items()}
""",
        {"decisions": "submission.csv says"},
    ),
    "a constant on the rerun": (
        "inference/pipeline.py",
        """
import os
_right = Predictor._average
def _average(self, *args):
    values = _right(self, *args)
    return values * 0 + 0.5 if os.environ.get("KAGGLE_IS_COMPETITION_RERUN") else values
Predictor._average = _average
""",
        {"parity": "0.5000 in the run", "images in another order": "0.5000 among more images"},
    ),
    "no more than the first twenty images": (
        "inference/submission.py",
        """
_aggregate = aggregate
def aggregate(images, probabilities, *args):
    first = {key: value for key, value in probabilities.items() if key < 20}
    breasts = _aggregate(images, first, *args)
    return {name: 0.02 if value is None else value for name, value in breasts.items()}
""",
        {"decisions": "submission.csv says"},
    ),
}


def in_output(plant: Plant, output: str, tmp_path: Any, changes: dict[str, str]) -> House:
    """Return a house whose runner has changes, and whose model has an output."""
    house = plant(changes)
    write_model_bundle(house.dist / "model", tmp_path, "fold0_best.pt", output=output)
    house.write_notebook()
    return house


def statuses(rehearsal: Rehearsal) -> dict[str, str]:
    return {check.name: check.status for check in rehearsal.checks}


@pytest.mark.parametrize("output", [pytest.param("probability", marks=pytest.mark.slow), "binary"])
def test_the_sound_runner_is_proven_in_both_outputs(
    output: str, plant: Plant, tmp_path: Any
) -> None:
    rehearsal = in_output(plant, output, tmp_path, {}).rehearse(layouts=BOTH)
    names = ("parity", "images in another order", "decisions")
    assert {name: statuses(rehearsal)[name] for name in names} == dict.fromkeys(names, "passed")
    (check,) = (check for check in rehearsal.checks if check.name == "decisions")
    assert "a random permutation would pass by a chance of" in check.message


def test_one_run_of_binary_decisions_proves_little(plant: Plant, tmp_path: Any) -> None:
    rehearsal = in_output(plant, "binary", tmp_path, {}).rehearse()
    (check,) = (check for check in rehearsal.checks if check.name == "decisions")
    assert check.status == "unproven"
    assert "answers of other breasts would pass, too, by a chance of 100%" in check.message


def test_images_that_depend_on_those_in_their_batch(plant: Plant, tmp_path: Any) -> None:
    """As in training mode: on the laptop's CPU a batch is one image, on a GPU sixteen."""
    addition = """
_right = Predictor._average
def _average(self, *args):
    values, members = _right(self, *args)
    return values - values.mean() + values[:1], members
Predictor._average = _average
"""
    changes = {"inference/predictor.py": f"{runner()['inference/predictor.py']}\n{addition}"}
    messages = failed(plant(changes).rehearse())
    assert "in a batch of a GPU's size" in messages["parity"]


@pytest.mark.slow
@pytest.mark.parametrize("output", ["probability", "binary"])
@pytest.mark.parametrize("astray", ASTRAY)
def test_answers_that_went_astray(astray: str, output: str, plant: Plant, tmp_path: Any) -> None:
    module, addition, expected = ASTRAY[astray]
    changes = {module: f"{runner()[module]}\n{addition}"}
    messages = failed(in_output(plant, output, tmp_path, changes).rehearse(layouts=BOTH))
    for name, text in expected.items():
        assert text in messages.get(name, str(messages))
