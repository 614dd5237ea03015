"""Resizing by area, against its definition."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.pixels import area


def weights(length: int, count: int) -> np.ndarray:
    """Return [count, length]: the share of each sample that each cell covers."""
    out = np.zeros((count, length))
    for cell in range(count):
        low, high = Fraction(cell * length, count), Fraction((cell + 1) * length, count)
        for sample in range(length):
            out[cell, sample] = max(Fraction(0), min(high, sample + 1) - max(low, sample))
    return out * count / length


@settings(deadline=None, max_examples=80)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    dtype=st.sampled_from(["u1", "i1", "u2", "i2"]),
    seed=st.integers(0, 99),
)
def test_each_pixel_is_the_mean_of_what_it_covers(shape, size, dtype, seed) -> None:
    info = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, True)
    expected = weights(shape[0], size[0]) @ values.astype(float) @ weights(shape[1], size[1]).T
    resized = area.resize(values, size)
    assert resized.dtype == np.float32
    assert np.abs(resized - expected).max() <= 2e-6 * (info.max - info.min)


@pytest.mark.parametrize("peak", [4095, 65535])
def test_large_images_do_not_overflow(peak: int) -> None:
    values = np.full((1500, 900), peak, np.uint16)
    assert np.allclose(area.resize(values, (7, 5)), peak)


def test_a_view_into_an_image_is_resized_like_a_copy() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (300, 200)).astype(np.uint16)
    crop = values[30:270, 11:150]
    assert np.array_equal(area.resize(crop, (64, 48)), area.resize(crop.copy(), (64, 48)))
