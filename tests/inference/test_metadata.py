"""Columns of the table → numbers."""

import numpy as np
import pytest

from inference import metadata

NAMES = ("laterality", "view", "age", "implant")


def test_width_is_what_encode_returns() -> None:
    encoded = metadata.encode({}, NAMES)
    assert encoded.shape == (metadata.width(NAMES),)
    assert encoded.dtype == np.float32


def test_encodes_known_values() -> None:
    row = {"laterality": "R", "view": "MLO", "age": "68.5", "implant": "1"}
    assert metadata.encode(row, NAMES).tolist() == [1, 0, 1, 0, 1, 1, 1]


@pytest.mark.parametrize("age", ["", None, "nan", "unknown", "-3", "999"])
def test_a_missing_age_is_not_an_age(age: str | None) -> None:
    assert metadata.encode({"age": age}, ["age"]).tolist() == [0, 0]


def test_other_views_and_missing_columns() -> None:
    assert metadata.encode({"view": "LMO"}, ["view"]).tolist() == [0, 0, 1]
    assert metadata.encode({}, ["laterality", "implant"]).tolist() == [0, 0]
