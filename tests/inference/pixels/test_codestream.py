"""A JPEG 2000 stream that is not whole says so, and sound ones are not called damaged."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.pixels import decoders, dicom, jpeg2000, packets
from inference.pixels.errors import ImageError
from tests.inference.pixels import dicoms

PIXELS = dicoms.draw(651, 503)
FULL, HEAD = None, (160, 120)  # a fourth of the sides: the head of the stream is enough


def read(tmp_path: Path, stream: bytes, size: tuple[int, int] | None) -> dicom.DicomImage:
    path = dicoms.write(tmp_path / "a.dcm", PIXELS, dicoms.JPEG_2000_LOSSLESS, stream=stream)
    return dicom.read(path, size)


def behind(stream: bytes) -> bytes:
    return stream + b"\0\0"


def without_end(stream: bytes) -> bytes:
    return stream[:-2] + b"\0\0"


def zeros_at_the_end(stream: bytes) -> bytes:
    return stream[:-302] + bytes(300) + stream[-2:]


SIGNS = {
    behind: "2 bytes follow its stream's end",
    without_end: "it neither ends nor goes on where its tile part ends",
    zeros_at_the_end: "its last packets are zeros",
}


@pytest.mark.parametrize("size", [FULL, HEAD])
@pytest.mark.parametrize("spoil", SIGNS)
def test_an_end_that_is_wrong_is_seen_wherever_it_is_read(
    spoil: Callable[[bytes], bytes], size: tuple[int, int] | None, tmp_path: Path
) -> None:
    stream = dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12)
    assert read(tmp_path, stream, size).suspicious == ()
    assert read(tmp_path, stream + b"\0" * (len(stream) % 2), size).suspicious == ()
    spoilt = spoil(stream)
    try:
        assert SIGNS[spoil] in read(tmp_path, spoilt + b"\0" * (len(spoilt) % 2), size).suspicious
    except ImageError:
        assert size is FULL  # OpenJPEG has noticed it, too


@pytest.mark.parametrize("size", [FULL, HEAD])
def test_a_stream_whose_tile_part_has_no_length_is_sound(
    size: tuple[int, int] | None, tmp_path: Path
) -> None:
    """Psot 0: it goes up to the end of the stream (A.4.2)."""
    stream = bytearray(dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12))
    header = jpeg2000.read_main_header(bytes(stream))
    assert header is not None
    stream[header.end + 6 : header.end + 10] = bytes(4)
    image = read(tmp_path, bytes(stream) + b"\0" * (len(stream) % 2), size)
    assert image.suspicious == ()
    assert read(tmp_path, bytes(stream) + b"\0\0\0\0", size).suspicious


@pytest.mark.parametrize("size", [FULL, HEAD])
def test_markers_among_the_packets_are_seen(size: tuple[int, int] | None, tmp_path: Path) -> None:
    stream = bytearray(dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12))
    stream[2000:2002] = b"\xff\xa3"
    image = read(tmp_path, bytes(stream), size)
    assert "there are markers among its packets" in image.suspicious


def test_empty_packets_are_no_lost_sector(tmp_path: Path) -> None:
    """Each of them may be a zero byte (B.10.3): a blank picture in many precincts has no other."""
    blank = np.zeros((1200, 1000), np.uint16)
    for options in (
        {"precinct_size": (32, 32), "codeblock_size": (16, 16), "progression": "RPCL"},
        {"precinct_size": (64, 64), "quality_layers": [80, 40, 0], "progression": "RLCP"},
    ):
        buffer = BytesIO()
        Image.fromarray(blank).save(buffer, "JPEG2000", no_jp2=True, **options)
        stream = buffer.getvalue()
        header = jpeg2000.read_main_header(stream)
        assert header is not None
        # OpenJPEG writes them at greater length: a bit that says there is one, and no code-block.
        body = stream[header.end + 14 :].replace(b"\x80", b"\0")
        assert bytes(1000) in body
        stream = stream[: header.end + 14] + body
        stream += b"\0" * (len(stream) % 2)
        path = dicoms.write(tmp_path / "a.dcm", blank, dicoms.JPEG_2000_LOSSLESS, stream=stream)
        for size in (FULL, (300, 250)):
            image = dicom.read(path, size)
            assert not image.pixels.any()
            assert image.suspicious == ()


@pytest.mark.parametrize("size", [FULL, HEAD])
def test_markers_that_belong_there_are_none(size: tuple[int, int] | None, tmp_path: Path) -> None:
    """SOP before each packet (A.8.1), as some encoders write."""
    stream = with_sop(dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12))
    image = read(tmp_path, stream + b"\0" * (len(stream) % 2), size)
    assert image.suspicious == ()
    plain = read(tmp_path, dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12), size)
    assert np.array_equal(image.pixels, plain.pixels)


def with_sop(stream: bytes) -> bytes:
    """Return a stream in one tile part with a SOP marker segment before each of its packets."""
    header = jpeg2000.read_main_header(stream)
    assert header is not None
    position = start = header.end + 14
    pieces = []
    for number, (bands, layer) in enumerate(packets._packets(header, 0)):
        end = packets._skip_packet(header, lambda size: stream[:size], position, bands, layer)
        pieces += [struct.pack(">HHH", 0xFF91, 4, number), stream[position:end]]
        position = end
    body = b"".join(pieces)
    cod = stream.index(b"\xff\x52") + 4
    main = stream[:cod] + bytes([stream[cod] | 2]) + stream[cod + 1 : header.end]
    sot = stream[header.end : header.end + 6] + struct.pack(">I", 14 + len(body))
    return main + sot + stream[header.end + 10 : start] + body + b"\xff\xd9"


def test_of_a_lost_sector_that_begins_in_what_is_read_the_rest_is_seen(tmp_path: Path) -> None:
    stream = bytearray(dicoms.encode(PIXELS, dicoms.JPEG_2000_LOSSLESS, 12))
    path = dicoms.write(tmp_path / "a.dcm", PIXELS, dicoms.JPEG_2000_LOSSLESS, stream=bytes(stream))
    with dicom.OpenDicom(path) as file:
        file.decode(HEAD)
        used = file._pixels
        header = jpeg2000.read_main_header(bytes(stream))
        assert header is not None
        end = packets.find_end(header, used.frame.head, header.end + 14, 2)
    assert end is not None
    stream[end - 20 : end - 20 + 512] = bytes(512)
    assert read(tmp_path, bytes(stream), HEAD).suspicious


def test_the_end_costs_few_bytes(tmp_path: Path) -> None:
    pixels = dicoms.draw(2311, 1803)
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_2000_LOSSLESS)
    image = dicom.read(path, (280, 220))
    assert image.reduction == 3
    assert image.bytes_read < path.stat().st_size / 25


def test_every_wavelet_syntax_is_judged(tmp_path: Path) -> None:
    for syntax in sorted(decoders.WAVELET):
        stream = dicoms.encode(PIXELS, syntax, 12)
        path = dicoms.write(tmp_path / "a.dcm", PIXELS, syntax, stream=stream + b"\0\0")
        assert dicom.read(path).suspicious == ("2 bytes follow its stream's end",)
