"""The low-pass band equals the standard's equations, and OpenJPEG's own reduced decode."""

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.pixels import jpeg2000, lifting, resolution_view
from tests.inference.pixels import dicoms, wavelet

KINDS = ("uint8", "int8", "uint16", "int16")


def values(rows: int, columns: int, kind: str, seed: int) -> np.ndarray:
    """Return values from the whole range of a type, with blank parts among them."""
    limits = np.iinfo(kind)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(limits.min, limits.max, (rows, columns), kind, endpoint=True)
    pixels[: rows // 3] = limits.max
    return pixels


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(KINDS), st.integers(1, 4))
def test_both_ways_equal_the_standards_equations(
    rows: int, columns: int, kind: str, levels: int
) -> None:
    pixels = values(rows, columns, kind, seed=rows * 41 + columns)
    slow = fast = pixels
    for _ in range(levels):
        slow, fast = lifting.halve_by_numpy(slow), lifting.halve_compiled(fast)
    expected = wavelet.reduce(pixels, levels)
    assert np.array_equal(slow, expected)
    assert np.array_equal(fast, expected)
    assert np.array_equal(lifting.Pyramid(pixels).band(levels), expected)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("shape", [(517, 389), (512, 384), (65, 700)])
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_equals_a_reduced_decode(bits: int, shape: tuple[int, int], reduction: int) -> None:
    """Blocks at the ends of the range ring: the decoder clips, so that a missing clip is seen."""
    blocks = np.random.default_rng(reduction).integers(0, 2, shape) * ((1 << bits) - 1)
    side = 3 << reduction
    pixels = np.kron(blocks[: shape[0] // side + 1, : shape[1] // side + 1], np.ones((side, side)))
    pixels = pixels[: shape[0], : shape[1]].astype("u1" if bits == 8 else "u2")
    stream = dicoms.encode(pixels, dicoms.JPEG_2000_LOSSLESS, bits)
    header = jpeg2000.read_main_header(stream)
    assert header is not None
    view = resolution_view.make_view(header, lambda size: stream[:size], len(stream), reduction)
    assert view is not None
    decoded = imagecodecs.jpeg2k_decode(view)
    band = lifting.Pyramid(pixels).band(reduction)
    assert band.min() < 0  # there is something to clip
    assert np.array_equal(lifting.clip(band, bits, False, pixels.dtype), decoded)


def test_clips_signed_values_to_their_bits() -> None:
    band = np.array([[-3000, -2048, 2047, 3000]], np.int32)
    clipped = lifting.clip(band, 12, True, np.dtype("i2"))
    assert clipped.tolist() == [[-2048, -2048, 2047, 2047]]
