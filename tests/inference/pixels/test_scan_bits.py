"""The bits that a picture takes are counted right, for every kind of JPEG scan that is counted."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.pixels import scan_bits
from tests.inference.pixels import dicoms


@settings(deadline=None, max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    bits=st.integers(2, 16),
    predictor=st.integers(1, 7),
    seed=st.integers(0, 1000),
)
def test_a_sound_lossless_scan_has_the_bits_of_its_values(shape, bits, predictor, seed) -> None:
    kind = np.uint8 if bits <= 8 else np.uint16
    values = np.random.default_rng(seed).integers(0, 1 << bits, shape).astype(kind)
    values[: shape[0] // 2] = values[0, 0]
    stream = imagecodecs.jpeg8_encode(
        values, lossless=True, predictor=predictor, bitspersample=bits
    )
    missing = scan_bits.missing_bits(stream, values.astype(np.uint16))
    assert missing is not None
    assert -scan_bits.PADDING <= missing <= 0


@pytest.mark.parametrize("predictor", range(1, 8))
def test_one_other_value_takes_other_bits(predictor: int) -> None:
    values = dicoms.draw(60, 50)
    stream = imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=12)
    values[30, 25] ^= 1 << 11
    missing = scan_bits.missing_bits(stream, values)
    assert missing is not None
    assert not -scan_bits.PADDING <= missing <= 0


@settings(deadline=None, max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(1, 100),
    restart=st.sampled_from([{}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}]),
    optimize=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_sound_baseline_scan_has_no_bits_left(shape, quality, restart, optimize, seed) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    values[: shape[0] // 2] = 7
    buffer = BytesIO()
    options = {"quality": quality, "optimize": optimize, **restart}
    Image.fromarray(values).save(buffer, "JPEG", **options)
    stream = buffer.getvalue()
    surplus = scan_bits.surplus_bits(stream)
    assert surplus is not None
    assert 0 <= surplus <= scan_bits.PADDING
    filled = stream[:-2] + b"\xff\xff" + stream[-2:]  # fill bytes are legal (B.1.1.2)
    assert scan_bits.surplus_bits(filled) == surplus


@pytest.mark.parametrize("quality", [50, 95])
def test_a_sound_extended_scan_has_no_bits_left(quality: int) -> None:
    stream = imagecodecs.jpeg8_encode(dicoms.draw(301, 203), level=quality, bitspersample=12)
    surplus = scan_bits.surplus_bits(stream)
    assert surplus is not None
    assert 0 <= surplus <= scan_bits.PADDING


@pytest.mark.parametrize("restart", [{}, {"restart_marker_rows": 2}])
def test_blocks_that_are_missing_or_too_many_are_counted(restart: dict[str, int]) -> None:
    pixels = (dicoms.draw(160, 120) >> 4).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **restart)
    stream = bytearray(buffer.getvalue())
    frame = stream.index(b"\xff\xc0")
    for rows, runs_out in ((168, True), (152, False)):  # a row of blocks more, one fewer
        stream[frame + 5 : frame + 7] = rows.to_bytes(2, "big")
        surplus = scan_bits.surplus_bits(bytes(stream))
        assert surplus is not None
        assert surplus < 0 if runs_out else surplus > scan_bits.PADDING


def test_a_progressive_scan_is_not_counted() -> None:
    buffer = BytesIO()
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(buffer, "JPEG", progressive=True)
    assert scan_bits.surplus_bits(buffer.getvalue()) is None
    assert scan_bits.missing_bits(buffer.getvalue(), np.zeros((40, 30), np.uint16)) is None


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_of_a_damaged_stream_it_reads_nothing_but_the_stream(data) -> None:
    pixels = (dicoms.draw(64, 48) >> 4).astype(np.uint8)
    stream = bytearray(imagecodecs.jpeg8_encode(pixels, level=90))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(2, len(stream) - 1))] = data.draw(st.integers(0, 255))
    scan_bits.surplus_bits(bytes(stream[: data.draw(st.integers(4, len(stream)))]))
