"""The compiled JPEG Lossless decoder, against libjpeg-turbo, its encoder and its decoder."""

import struct
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.pixels import decoders, dicom, lossless, stored
from inference.pixels.decoders import Layout, decode_by_numba
from inference.pixels.errors import DeclinedError
from inference.pixels.proven import Proven
from tests.inference.pixels import dicoms

COMPILED = decoders.find_decoders(dicoms.JPEG_LOSSLESS_SV1)[0].decode

pytest.importorskip("numba", reason="the compiled decoder needs numba: pip install numba")


def encode(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)


def texture(kind: str, shape: tuple[int, int], bits: int, seed: int) -> np.ndarray:
    """Return uint16 of the given bits: air, a mammogram, noise, or the largest of steps."""
    rng, peak = np.random.default_rng(seed), (1 << bits) - 1
    if kind == "air":
        return np.full(shape, rng.integers(0, peak, endpoint=True), np.uint16)
    if kind == "breast":
        return dicoms.draw(*shape, bits, seed)
    if kind == "noise":
        return rng.integers(0, peak, shape, np.uint16, endpoint=True)
    return (rng.integers(0, 2, shape) * peak).astype(np.uint16)


@settings(deadline=None, max_examples=150)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    bits=st.integers(9, 16),
    kind=st.sampled_from(["air", "breast", "noise", "steps"]),
    seed=st.integers(0, 1 << 16),
)
def test_what_was_encoded_comes_back(shape, bits, kind, seed) -> None:
    pixels = texture(kind, shape, bits, seed)
    stream = encode(pixels, bits)
    if pixels.size > 8 * len(stream):
        return
    decoded = lossless.decode(stream)
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, pixels)


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_of_a_damaged_stream_it_makes_nothing_else_than_libjpeg_turbo(data) -> None:
    kind = data.draw(st.sampled_from(["breast", "noise", "steps"]))
    stream = bytearray(encode(texture(kind, (24, 17), 12, 3), 12))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 5]))
    damaged = bytes(stream[: len(stream) - cut])
    try:
        decoded = lossless.decode(damaged)
    except DeclinedError:
        return
    assert np.array_equal(decoded, imagecodecs.jpeg8_decode(damaged))


def without_table(stream: bytes) -> bytes:
    start = stream.index(b"\xff\xc4")
    length = struct.unpack(">H", stream[start + 2 : start + 4])[0]
    return stream[:start] + stream[start + 2 + length :]


def test_another_kind_of_stream_is_declined() -> None:
    pixels = texture("noise", (24, 17), 12, 0)
    stream = encode(pixels, 12)
    scan = stream.index(b"\xff\xda")
    restarts = stream[:scan] + b"\xff\xdd\0\4\0\x11" + stream[scan:]
    others = {
        "another predictor": encode(pixels, 12, predictor=4),
        "8 bits": encode((pixels >> 4).astype(np.uint8), 8),
        "lossy": imagecodecs.jpeg8_encode((pixels >> 4).astype(np.uint8)),
        "restart intervals": restarts,
        "a point transform": stream[: scan + 9] + b"\1" + stream[scan + 10 :],
        "no table": without_table(stream),
        "no scan": stream[:scan],
        "nothing": b"",
        "cut": stream[:-40] + b"\xff\xd9",
        "more data than pixels": stream[:-2] + bytes(40) + b"\xff\xd9",
        "another marker": stream[:-2] + b"\xff\xd0\xff\xd9",
    }
    for name, other in others.items():
        with pytest.raises(DeclinedError):
            print(name, lossless.decode(other))


def test_values_beyond_the_precision_are_left_to_the_judge() -> None:
    stream = bytearray(encode(texture("noise", (24, 17), 12, 0), 12))
    stream[stream.index(b"\xff\xc3") + 4] = 9
    with pytest.raises(DeclinedError, match="beyond the precision"):
        lossless.decode(bytes(stream))


LAYOUT = Layout(rows=24, columns=17, bits_allocated=16, precision=12, signed=False)


def judge(data: decoders.Bytes, layout: Layout) -> np.ndarray:
    return imagecodecs.jpeg8_decode(data)


def test_it_is_compiled_only_where_that_pays() -> None:
    stream = encode(texture("noise", (24, 17), 12, 0), 12)
    decode = Proven(decode_by_numba, judge, worth_after=3)
    for _ in range(3):
        with pytest.raises(DeclinedError):
            decode(stream, LAYOUT)
    expected = imagecodecs.jpeg8_decode(stream)
    assert np.array_equal(decode(stream, LAYOUT), expected)
    assert decode.works
    assert np.array_equal(decode(stream, LAYOUT), expected)


@pytest.mark.parametrize("fault", ["wrong pixels", "no compiler"])
def test_a_compiler_that_fails_costs_no_pixel(fault: str) -> None:
    stream = encode(texture("noise", (24, 17), 12, 0), 12)
    expected = imagecodecs.jpeg8_decode(stream)

    def faulty(data: decoders.Bytes, layout: Layout) -> np.ndarray:
        if fault == "no compiler":
            raise ImportError("numba needs another NumPy")
        return expected ^ 1

    decode = Proven(faulty, judge, worth_after=0)
    assert np.array_equal(decode(stream, LAYOUT), expected)
    assert decode.works is False
    with pytest.raises(DeclinedError):
        decode(stream, LAYOUT)


def test_a_stream_that_is_declined_is_judged_by_the_next_row_alone() -> None:
    stream = encode(texture("noise", (24, 17), 12, 0), 12, predictor=4)
    judged = []
    decode = Proven(decode_by_numba, lambda data, layout: judged.append(data), worth_after=0)
    with pytest.raises(DeclinedError):
        decode(stream, LAYOUT)
    assert not judged
    assert decode.works is None


def test_a_long_run_of_files_changes_over_and_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [
        replace(row, decode=Proven(decode_by_numba, judge, worth_after=2))
        if row.decode is COMPILED
        else row
        for row in decoders.DECODERS
    ]
    monkeypatch.setattr(stored.decoders, "DECODERS", tuple(rows))
    pixels = dicoms.draw(150, 110)
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_LOSSLESS_SV1)
    images = [dicom.read(path) for _ in range(4)]
    used = [image.decoder.startswith("numba") for image in images]
    assert used == [False, False, True, True]
    for image in images:
        assert np.array_equal(image.pixels, pixels)
