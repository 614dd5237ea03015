"""Which cells name a hidden row, in whatever form its id stands there."""

import pytest

from bundler.competition.handover import Secret, named_by

IDS = frozenset({"12", "9e3779b1", "007", "case12_day3"})


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("12", {"12"}),
        (12, {"12"}),
        (12.0, {"12"}),
        ("12.0", {"12"}),
        ("12.5", set()),
        ("112", set()),
        ("7", set()),
        ("9e3779b1.png", {"9e3779b1"}),
        ("train\\9e3779b1.png", {"9e3779b1"}),
        ("images/9e3779b1/3.dcm", {"9e3779b1"}),
        ("9e3779b1_left", {"9e3779b1"}),
        ("case12_day3", {"case12_day3"}),
        ("007 and others", {"007"}),
        ("", set()),
        (None, set()),
    ],
)
def test_cells(cell: object, named: set[str]) -> None:
    assert named_by(cell, IDS) == named  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("9e3779b1.png", True),
        ("deep/9e3779b1_mask.nii.gz", True),
        ("case12_day3.json", True),
        ("12.png", False),  # too short to be no chance
        ("palette.png", False),
    ],
)
def test_names_of_files(name: str, named: bool) -> None:
    assert Secret(values={"id": IDS}).names(name) == named
