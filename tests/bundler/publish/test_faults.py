"""Every fault is noticed or overcome, nothing is lost, and no failure is reported as a success."""

from pathlib import Path

import pytest

from tests.kaggle.cases import CASES, TAKEN, Case
from tests.kaggle.server import COMPETITION
from tests.kaggle.world import NOTEBOOK, begin, write_bundle


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, tmp_path: Path) -> None:
    with begin(tmp_path) as world:
        if case.action == "publish":
            write_bundle(tmp_path, "libs", b"two")
        case.arm(world)
        runs, submissions = world.kaggle.kernels.all, world.kaggle.competitions.all[COMPETITION]
        before = len(runs.get(NOTEBOOK, ()))
        error = world.attempt(case.action)
        if case.message:
            assert case.message in error
        else:
            assert error == ""
            assert world.is_done(case.action)
        world.heal()
        if not case.message and case.action != "publish":
            assert len(runs[NOTEBOOK]) == before + 1  # nothing was pushed twice
            assert len(submissions.submissions) == (case.action == "submit")
        if case.name != TAKEN:
            assert world.attempt(case.action) == ""  # it goes on from where it was
            assert world.is_done(case.action)
