"""What is measured after the notebook: the rate of steady work, and for how long it is taken."""

import pytest

from bundler.competition.screening import probe


def test_the_rate_is_of_steady_work_in_parts() -> None:
    before = [(0.1 * number, 0) for number in range(30)]  # nothing is done yet
    steady = [(3.0 + 0.2 * number, 1 + number) for number in range(41)]
    assert probe.rates(before + steady) == pytest.approx([0.2] * probe.PARTS)
    slower = [(11.0 + 0.4 * number, 41 + number) for number in range(1, 41)]
    assert probe.rates(steady + slower) == pytest.approx([0.2, 0.2, 0.4, 0.4])


def test_work_goes_on_for_its_seconds_and_its_images() -> None:
    over = probe._until(0.0)
    assert over.pace(probe.FEWEST - 1, 4000) == "full"
    assert over.pace(probe.FEWEST, 4000) == "over"
    assert probe._until(3600.0).pace(probe.FEWEST, 4000) == "full"


def test_images_that_take_long_do_not_hold_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MOST_SECONDS", 0.0)
    assert probe._until(3600.0).pace(1, 4000) == "over"
