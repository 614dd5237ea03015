"""The resolution view equals a reduced decode, or declines; it is never a wrong pixel."""

from io import BytesIO

import imagecodecs
import numpy as np
import openjpeg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.pixels import jpeg2000, packets, resolution_view
from tests.inference.pixels import dicoms, wavelet

PROGRESSIONS = ["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"]


def encode(pixels: np.ndarray, **options: object) -> bytes:
    """Encode with Pillow, which lets the stream's order be chosen."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


def view(data: bytes, reduction: int) -> bytes | None:
    """Make a view, asserting that the head asked for is not longer than the stream."""
    stream = jpeg2000.read_main_header(data)
    assert stream is not None
    return resolution_view.make_view(stream, lambda count: data[:count], len(data), reduction)


def noise(rows: int, columns: int, bits: int, seed: int, signed: bool = False) -> np.ndarray:
    """Return values of any size with smooth and blank parts among them."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1 << bits, size=(rows, columns))
    values[: rows // 2] >>= rng.integers(0, bits)
    values[:, columns // 2 :] = values[0, 0]
    if signed:
        values -= 1 << (bits - 1)
    kind = "i" if signed else "u"
    return values.astype(f"{kind}{1 if bits <= 8 else 2}")


def assert_reduced(data: bytes, pixels: np.ndarray, levels: int, bits: int, **tiles: object) -> int:
    """Compare every view of a lossless stream with the transform's own low-pass bands."""
    made = 0
    for reduction in range(levels + 2):
        smaller = view(data, reduction)
        if smaller is None:
            continue
        tile = tiles.get("tile") or (1 << 20, 1 << 20)
        expected = wavelet.reduce_tiled(pixels, reduction, tile, tiles.get("origin", (0, 0)))
        low = -(1 << (bits - 1)) if pixels.dtype.kind == "i" else 0
        expected = np.clip(expected, low, low + (1 << bits) - 1)
        decoded = imagecodecs.jpeg2k_decode(smaller)
        assert np.array_equal(decoded.reshape(expected.shape), expected), reduction
        made += 1
    return made


@settings(deadline=None, max_examples=200)
@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    bits=st.sampled_from([8, 16]),
    progression=st.sampled_from(PROGRESSIONS),
    layers=st.integers(1, 4),
    levels=st.integers(0, 11),
    block=st.sampled_from([(4, 4), (16, 64), (32, 32), (64, 64), (4, 1024)]),
    precinct=st.sampled_from([None, (32, 32), (64, 128), (256, 256)]),
    offset=st.sampled_from([(0, 0), (1, 0), (3, 17)]),
    seed=st.integers(0, 1000),
)
def test_any_order_of_packets(
    shape, bits, progression, layers, levels, block, precinct, offset, seed
) -> None:
    pixels = noise(*shape, bits, seed)
    options = {"quality_mode": "rates", "quality_layers": [*[50, 20, 5][: layers - 1], 0]}
    if precinct and max(block) <= min(precinct) // 2:
        options["precinct_size"] = precinct
    try:
        data = encode(
            pixels,
            progression=progression,
            num_resolutions=levels + 1,
            codeblock_size=block,
            offset=offset,
            tile_size=(1024, 1024),  # one tile that the offset leaves whole
            **options,
        )
        whole = imagecodecs.jpeg2k_decode(data).reshape(shape)
    except (OSError, imagecodecs.Jpeg2kError):  # OpenJPEG refuses some of these combinations
        return
    if not np.array_equal(whole, pixels):
        return  # and encodes others with loss: nothing to compare with
    made = assert_reduced(data, pixels, levels, bits, origin=offset[::-1])
    if offset == (0, 0) and progression in ("RLCP", "RPCL"):
        assert made == levels


@settings(deadline=None, max_examples=120)
@given(
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    bits=st.integers(8, 16),
    signed=st.booleans(),
    levels=st.integers(1, 11),
    seed=st.integers(0, 1000),
)
def test_any_depth_and_sign(shape, bits, signed, levels, seed) -> None:
    pixels = noise(*shape, bits, seed, signed)
    data = imagecodecs.jpeg2k_encode(
        pixels,
        codecformat="j2k",
        reversible=True,
        level=0,
        bitspersample=bits,
        resolutions=levels + 1,
    )
    levels = jpeg2000.read_main_header(data).levels
    assert assert_reduced(data, pixels, levels, bits) == levels


@pytest.mark.parametrize("progression", PROGRESSIONS)
@pytest.mark.parametrize("layers", [[0], [30, 10, 0]])
@pytest.mark.parametrize("tile", [(32, 32), (64, 48), (33, 40), (128, 96)])
def test_tiles_are_kept_whole(progression: str, layers: list[int], tile: tuple[int, int]) -> None:
    pixels = noise(150, 131, 8, 3)
    options = {"quality_mode": "rates", "quality_layers": layers, "tile_size": tile}
    data = encode(pixels, progression=progression, num_resolutions=5, **options)
    assert np.array_equal(imagecodecs.jpeg2k_decode(data), pixels)
    made = assert_reduced(data, pixels, 4, 8, tile=tile[::-1])
    if layers == [0] or progression != "LRCP":  # as far as the tiles divide by the reduction
        assert made == {(32, 32): 4, (64, 48): 4, (33, 40): 0, (128, 96): 4}[tile]


@pytest.mark.parametrize("reduction", [1, 2, 3])
@pytest.mark.parametrize("progression", ["LRCP", "RPCL"])
def test_irreversible_equals_openjpegs_own_reduction(progression: str, reduction: int) -> None:
    pixels = dicoms.draw(512, 384, bits=16)
    data = encode(pixels, progression=progression, irreversible=True, num_resolutions=6)
    with Image.open(BytesIO(data)) as image:
        image.reduce = reduction
        expected = np.array(image)
    smaller = view(data, reduction)
    assert np.array_equal(imagecodecs.jpeg2k_decode(smaller), expected)
    decoded = openjpeg.decode_pixel_data(smaller, version=2)
    assert np.array_equal(np.frombuffer(decoded, "<u2").reshape(expected.shape), expected)


def test_nothing_behind_the_last_packet_is_asked_for() -> None:
    data = encode(dicoms.draw(800, 600, bits=16), num_resolutions=6)
    stream = jpeg2000.read_main_header(data)
    asked = []

    def head(count: int) -> bytes:
        asked.append(count)
        return data[:count]

    smaller = resolution_view.make_view(stream, head, len(data), 3)
    assert len(smaller) < len(data) * 0.04
    assert max(asked) < len(data) * 0.04


@pytest.mark.parametrize("options", [{}, {"precinct_size": (32, 32), "codeblock_size": (16, 16)}])
def test_a_cut_stream_is_never_taken_for_a_whole_one(options: dict[str, object]) -> None:
    """Decoders take packets that are missing whole for empty ones, and say nothing."""
    data = encode(noise(70, 61, 16, 1), progression="RPCL", num_resolutions=3, **options)
    stream = jpeg2000.read_main_header(data)
    expected = resolution_view.make_view(stream, lambda count: data[:count], len(data), 1)
    for length in range(stream.end, len(data)):
        cut = data[:length]
        made = resolution_view.make_view(stream, lambda count: cut[:count], len(data), 1)  # noqa: B023
        assert made in (None, expected)


def test_layers_before_resolutions_are_declined() -> None:
    options = {"quality_mode": "rates", "quality_layers": [20, 0], "num_resolutions": 4}
    data = encode(noise(90, 80, 16, 2), progression="LRCP", **options)
    assert view(data, 1) is None


def test_a_style_with_several_segments_is_declined() -> None:
    data = bytearray(encode(noise(90, 80, 16, 2), num_resolutions=4))
    style = data.index(b"\xff\x52") + 4 + 8
    assert data[style] == 0
    for flag in (0x01, 0x04, 0x40):
        data[style] = flag
        assert view(bytes(data), 1) is None


def test_nonsense_in_the_packets_is_declined() -> None:
    data = encode(noise(90, 80, 16, 2), num_resolutions=4)
    stream = jpeg2000.read_main_header(data)
    start = data.index(b"\xff\x93") + 2
    rng = np.random.default_rng(0)
    for _ in range(300):
        garbage = data[:start] + rng.bytes(len(data) - start)
        end = packets.find_end(stream, lambda count: garbage[:count], start, 1)  # noqa: B023
        assert end is None or start < end <= len(data)
