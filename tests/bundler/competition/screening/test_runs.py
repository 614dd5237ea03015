"""Probabilities that went astray between images and breasts, in either output."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.competition.check import Check
from bundler.competition.run_report import Predictions, RunReport
from bundler.competition.screening import image_csv, runs
from bundler.competition.screening.hidden_test import HiddenSet, Row
from bundler.competition.screening.runs import Run
from inference import submission
from inference.boot.card import Card
from tests import parts

SPREAD = Predictions(count=0, low=0, mean=0, high=0, positive_share=0, histogram=())
Change = Callable[[dict[str, float]], dict[str, float]]


def hidden(patients: int, *, turned: bool = False) -> HiddenSet:
    """Return a hidden test of so many patients, two breasts each and two views."""
    rows = tuple(
        {
            "patient_id": str(patient),
            "image_id": f"{patient}{side}{view}",
            "laterality": side,
            "view": view,
            "prediction_id": f"{patient}_{side}",
        }
        for patient in range(patients)
        for side in "LR"
        for view in ("cc", "mlo")
    )
    return HiddenSet(folder=Path("c"), sample=rows, planted=(), labels={}, source="", turned=turned)


def probability(row: Row) -> float:
    """Return what the laptop predicts: small, as for most breasts, and no two alike."""
    return random.Random(row["image_id"]).random() * 0.1


def card(output: str) -> Card:
    return parts.card(output=output, threshold=0.5)


def run(
    data: HiddenSet,
    about: Card,
    *,
    threshold: float | None = None,
    images: Change = lambda values: values,
    breasts: Change = lambda values: values,
) -> Run:
    """Return a run that went well, but for what `images` and `breasts` make of its answers."""
    predicted = images({row["image_id"]: probability(row) for row in data.rows})
    by_breast: dict[str, list[float]] = {}
    for row in data.rows:
        if row["image_id"] in predicted:
            by_breast.setdefault(row["prediction_id"], []).append(predicted[row["image_id"]])
    limit = about.threshold if threshold is None else threshold
    means = {name: math.fsum(values) / len(values) for name, values in by_breast.items()}
    decided, _ = submission.decide(means, about.output, limit, about.prevalence)
    report = RunReport(
        state="complete",
        csv_sha256=None,
        ids={},
        total=len(data.rows),
        failures={},
        suspicious={},
        fallbacks=(),
        warnings=(),
        install_seconds=0.0,
        predictions=SPREAD,
        threshold=threshold,
    )
    return Run(hidden=data, report=report, images=predicted, submission=breasts(dict(decided)))


def check(output: str, **changes: Change) -> dict[str, Check]:
    """Return the checks of two runs, each with the same fault."""
    about, small, large = card(output), hidden(6), hidden(20, turned=True)
    laptop = {row["image_id"]: probability(row) for row in small.compared}
    middle = runs.threshold(list(runs.by_breast(small, laptop, "mean").values()))
    assert middle is not None
    first = run(small, about, **changes)
    second = run(large, about, threshold=middle, **changes)
    return {one.name: one for one in runs.check(first, [second], about, laptop)}


def rotate(values: dict[str, float]) -> dict[str, float]:
    own = list(values.values())
    return dict(zip(values, own[1:] + own[:1], strict=True))


def swap(values: dict[str, float]) -> dict[str, float]:
    return {name: values[name.translate(str.maketrans("LR", "RL"))] for name in values}


def sort(values: dict[str, float]) -> dict[str, float]:
    return dict(zip(sorted(values), values.values(), strict=True))


def half(values: dict[str, float]) -> dict[str, float]:
    return {k: v if n < len(values) / 2 else 0.02 for n, (k, v) in enumerate(values.items())}


def constant(values: dict[str, float]) -> dict[str, float]:
    return dict.fromkeys(values, 0.04)


ASTRAY = {"rotated": rotate, "sides": swap, "sorted": sort, "half": half, "constant": constant}


@pytest.mark.parametrize("output", ["binary", "probability"])
def test_what_is_right_passes_and_says_by_what_chance(output: str) -> None:
    done = check(output)
    assert {one.status for one in done.values()} == {"passed"}
    assert "40 breasts got what their own images say" in done["decisions"].message
    assert "a random permutation would pass by a chance of" in done["decisions"].message


@pytest.mark.parametrize("output", ["binary", "probability"])
@pytest.mark.parametrize("astray", ASTRAY)
def test_breasts_that_get_other_answers(astray: str, output: str) -> None:
    done = check(output, breasts=ASTRAY[astray])
    assert done["decisions"].status == "failed"
    assert "submission.csv says" in done["decisions"].message
    assert done["images in another order"].status == "passed"
    moved = astray in ("rotated", "sides", "sorted")
    assert ("same answers went to other breasts" in done["decisions"].message) == moved


@pytest.mark.parametrize("output", ["binary", "probability"])
@pytest.mark.parametrize("astray", ASTRAY)
def test_images_that_get_other_probabilities(astray: str, output: str) -> None:
    """Consistently up to the submission: only the laptop and the other run tell."""
    done = check(output, images=ASTRAY[astray])
    assert done["images in another order"].status == "failed"
    assert "among more images" in done["images in another order"].message
    assert done["decisions"].status == ("unproven" if astray == "constant" else "passed")


def test_images_that_are_left_out_are_named() -> None:
    def first(values: dict[str, float]) -> dict[str, float]:
        return dict(list(values.items())[:20])

    done = check("probability", images=first)
    text = "60 of 80 images have no prediction in the run, and no failure is reported: 14Rmlo"
    assert text in done["images in another order"].message
    assert done["decisions"].status == "failed"


def test_a_run_of_zeros_proves_nothing() -> None:
    about, data = card("binary"), hidden(6)
    (done,) = runs.check(run(data, about, breasts=rotate), [], about, {})
    assert done.status == "unproven"
    assert "answers of other breasts would pass, too, by a chance of 100%" in done.message
    assert "Rehearse without --quick" in done.message


def test_patients_whose_sides_are_alike_do_not_show_swapped_sides() -> None:
    about, data = card("probability"), hidden(6)

    def same(values: Mapping[str, float]) -> dict[str, float]:
        return {name: values[name.replace("R", "L")] for name in values}

    (done,) = runs.check(run(data, about, images=same), [], about, {})
    assert done.status == "unproven"
    assert "left and right swapped would pass, too." in done.message


def test_a_model_that_hardly_tells_images_apart_proves_nothing() -> None:
    about, data = card("probability"), hidden(6)
    laptop = dict.fromkeys((row["image_id"] for row in data.rows), 0.04)
    done = runs.check(
        run(data, about, images=constant), [run(data, about, images=constant)], about, laptop
    )
    assert [one.status for one in done] == ["unproven", "unproven"]
    assert "swapped ones would pass by a chance of 100%" in done[0].message


def test_an_older_runner_is_said_to_tell_too_little() -> None:
    about = card("probability")
    older = replace(run(hidden(2), about), images=None)
    (done,) = runs.check(older, [], about, {})
    assert done.status == "unproven"
    assert "Bundle the code again with this version" in done.message


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.2, 0.3),
        ([0.0, 0.0, 0.0, 0.0, 0.9, 0.91, 0.92, 0.93], 0.0, 0.9),
        ([0.1, 0.11, 0.12, 0.5, 0.51, 0.9], 0.12, 0.5),
    ],
)
def test_the_threshold_lies_where_no_digit_decides(
    values: list[float], low: float, high: float
) -> None:
    middle = runs.threshold(values)
    assert middle is not None
    assert low < middle < high


@pytest.mark.parametrize("values", [[], [0.5], [0.5] * 8, [0.5, 0.501, 0.502, 0.503]])
def test_there_is_no_threshold_between_values_that_are_alike(values: list[float]) -> None:
    assert runs.threshold(values) is None


@pytest.mark.parametrize("text", ["", "image_id\n1\n", "image_id,probability\n1,half\n", "\0"])
def test_what_is_no_table_of_images_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert not image_csv.read(tmp_path / "a.csv")
    assert image_csv.read(tmp_path / "none.csv") is None
