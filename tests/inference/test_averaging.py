"""Weighted means and means of ranks, by hand."""

import numpy as np
import pytest

from inference import averaging


def test_the_weighted_mean_is_by_image() -> None:
    each = [np.float32([0.0, 1.0]), np.float32([1.0, 0.5])]
    assert averaging.weigh(each, [3, 1]).tolist() == [0.25, 0.875]
    assert np.isnan(averaging.weigh([each[0], np.float32([np.nan, 0])], [1, 1])).tolist() == [
        True,
        False,
    ]


def test_ranks_are_of_each_model_alone() -> None:
    """A model whose numbers are a thousandth of another's counts as much."""
    members = {7: (0.9, 0.0001), 3: (0.1, 0.0003), 5: (0.5, 0.0002)}
    assert averaging.rank(members, [1, 1]) == pytest.approx({7: 0.5, 3: 0.5, 5: 0.5})
    assert averaging.rank(members, [1, 0.0]) == pytest.approx({7: 5 / 6, 3: 1 / 6, 5: 0.5})
    assert averaging.rank(members, [3, 1])[7] == pytest.approx((3 * 5 / 6 + 1 / 6) / 4)


def test_equal_values_have_equal_ranks() -> None:
    ranks = averaging.rank({0: (0.2,), 1: (0.2,), 2: (0.7,)}, [1])
    assert ranks == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 5 / 6})


def test_an_image_predicted_in_haste_has_the_first_models_rank() -> None:
    ranks = averaging.rank({0: (0.1, 0.9), 1: (0.5,), 2: (0.9, 0.1)}, [1, 1])
    assert ranks[1] == pytest.approx(0.5)
    assert averaging.rank({}, [1, 1]) == {}
