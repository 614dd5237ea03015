"""Bad files: each is one ImageError of the right kind, within stated memory and time."""

import os
import pickle
import struct
import threading
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference import workers
from inference.pixels import dicom, limits, source
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS
from tests.inference.pixels import dicoms

JPEG_2000, LOSSLESS = dicoms.JPEG_2000_LOSSLESS, dicoms.JPEG_LOSSLESS_SV1
RLE = "1.2.840.10008.1.2.5"


def kind(file: Path | BytesIO) -> str:
    """Return the kind of error that loading the file for all presets gives."""
    with pytest.raises(ImageError) as caught:
        load(file, list(PRESETS.values()))
    assert len(str(caught.value)) > 20
    return caught.value.kind


def rewrite(path: Path, **elements: object) -> Path:
    """Set elements of a file without pydicom's checks of what they mean."""
    data = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.save_as(path)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return dicoms.write(tmp_path / "plain.dcm", dicoms.draw(300, 200))


@pytest.fixture
def wavelet(tmp_path: Path) -> Path:
    return dicoms.write(tmp_path / "wavelet.dcm", dicoms.draw(300, 200), JPEG_2000)


@pytest.fixture
def lossless(tmp_path: Path) -> Path:
    return dicoms.write(tmp_path / "lossless.dcm", dicoms.draw(300, 200), LOSSLESS)


# --- what is no image ---


def test_no_file_a_folder_a_pipe(tmp_path: Path) -> None:
    assert kind(tmp_path / "gone.dcm") == "missing"
    assert kind(tmp_path) == "missing"
    os.mkfifo(tmp_path / "pipe")
    assert kind(tmp_path / "pipe") == "missing"
    assert kind(Path("nul\0byte")) == "missing"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"x", "not-dicom"),
        (b"<html>404</html>" * 100, "not-dicom"),
        (bytes(128) + b"DICM", "not-dicom"),
        (bytes(128) + b"DICM" + bytes(100), "not-dicom"),
    ],
)
def test_other_contents(data: bytes, expected: str) -> None:
    assert kind(BytesIO(data)) == expected


def test_no_pixel_data(plain: Path) -> None:
    data = pydicom.dcmread(plain)
    del data.PixelData
    data.save_as(plain)
    assert kind(plain) == "no-pixels"


def test_a_file_cut_anywhere_is_never_read(plain: Path, wavelet: Path, lossless: Path) -> None:
    for path in (plain, wavelet, lossless):
        whole = path.read_bytes()
        # Behind the last fragment, a sequence delimiter of 8 bytes may be missing.
        for length in (*range(0, 1500, 97), len(whole) // 2, len(whole) - 10):
            assert kind(BytesIO(whole[:length])) in (
                "empty",
                "not-dicom",
                "no-pixels",
                "corrupt",
                "truncated",
            )
    assert kind(BytesIO(whole[:-10])) == "truncated"


# --- what contradicts itself ---


@pytest.mark.parametrize("rows", [0, 1, 299, 301, 65535])
def test_rows_that_are_not_the_streams(wavelet: Path, lossless: Path, rows: int) -> None:
    assert kind(rewrite(wavelet, Rows=rows)) == "corrupt"
    assert kind(rewrite(lossless, Rows=rows)) == "corrupt"


def test_rows_that_the_pixel_data_do_not_fill(plain: Path) -> None:
    assert kind(rewrite(plain, Rows=301)) == "truncated"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Rows": 65535, "Columns": 65535}, "too-large"),
        ({"SamplesPerPixel": 3}, "unsupported"),
        ({"PhotometricInterpretation": "RGB"}, "unsupported"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported"),
        ({"NumberOfFrames": "2"}, "unsupported"),
        ({"BitsAllocated": 32}, "unsupported"),
        ({"BitsStored": 17}, "unsupported"),
    ],
)
def test_what_is_not_one_monochrome_image(
    wavelet: Path, elements: dict[str, object], expected: str
) -> None:
    assert kind(rewrite(wavelet, **elements)) == expected


def test_an_unknown_transfer_syntax(wavelet: Path) -> None:
    data = wavelet.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.99")
    assert kind(BytesIO(data)) == "unsupported"


def test_a_stream_of_another_syntax(tmp_path: Path) -> None:
    pixels = dicoms.draw(60, 50)
    for declared, actual in ((JPEG_2000, LOSSLESS), (LOSSLESS, JPEG_2000), (RLE, LOSSLESS)):
        stream = dicoms.encode(pixels, actual, 12)
        path = dicoms.write(tmp_path / "a.dcm", pixels, declared, stream=stream)
        assert kind(path) == "corrupt"


def test_a_progressive_jpeg_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    pixels = dicoms.draw(60, 50, 8).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True)
    stream = buffer.getvalue()
    path = dicoms.write(tmp_path / "a.dcm", pixels, "1.2.840.10008.1.2.4.50", 8, stream)
    assert kind(path) == "corrupt"


def test_garbage_in_the_fragments(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for syntax in (JPEG_2000, LOSSLESS, RLE, "1.2.840.10008.1.2.4.80"):
        path = dicoms.write(tmp_path / "a.dcm", dicoms.draw(60, 50), syntax, stream=rng.bytes(5000))
        assert kind(path) == "corrupt"


@pytest.mark.parametrize(
    ("syntax", "bits", "expected"),
    [
        (JPEG_2000, 12, "corrupt"),
        (LOSSLESS, 12, "truncated"),
        ("1.2.840.10008.1.2.4.80", 12, "truncated"),
        (RLE, 12, "corrupt"),
        ("1.2.840.10008.1.2.4.50", 8, "truncated"),
        ("1.2.840.10008.1.2.4.51", 12, "truncated"),
    ],
)
def test_a_stream_cut_in_a_file_that_is_whole(
    tmp_path: Path, syntax: str, bits: int, expected: str
) -> None:
    """What a decoder makes of half a stream must not pass for an image."""
    pixels = dicoms.draw(300, 200, bits).astype("u1" if bits == 8 else "u2")
    stream = dicoms.encode(pixels, syntax, bits)
    for length in (len(stream) // 2, len(stream) - 40, len(stream) - 4):
        path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, bits, stream[:length])
        assert kind(path) == expected


def test_zeros_that_charls_takes_a_minute_to_refuse(tmp_path: Path) -> None:
    pixels = dicoms.draw(300, 200)
    stream = dicoms.encode(pixels, "1.2.840.10008.1.2.4.80", 12)
    zeros = stream[:5000] + bytes(4096) + stream[9096:]
    path = dicoms.write(tmp_path / "a.dcm", pixels, "1.2.840.10008.1.2.4.80", stream=zeros)
    assert kind(path) == "corrupt"


def test_a_stream_whose_end_is_garbage_is_read_from_its_head(wavelet: Path) -> None:
    """A smaller image does not need the end, and cannot tell that it is damaged."""
    data = bytearray(wavelet.read_bytes())
    data[len(data) // 2 :] = np.random.default_rng(0).bytes(len(data) - len(data) // 2)
    read, expected = dicom.read(BytesIO(data), (75, 50)), dicom.read(wavelet, (75, 50))
    assert read.reduction == 2
    assert np.array_equal(read.pixels, expected.pixels)


# --- bombs ---


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)
    assert kind(path) == "too-large"


def test_a_deflated_bomb(plain: Path) -> None:
    data = plain.read_bytes()
    meta = data[: data.index(b"\x28\x00\x02\x00")].replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    )
    meta = meta.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(bytes(1 << 24)) for _ in range(17)) + compressor.flush()
    assert kind(BytesIO(meta + bomb)) == "too-large"
    assert kind(BytesIO(meta + bomb[:100_000])) == "truncated"


def test_sequences_nested_without_end(plain: Path) -> None:
    item = Dataset()
    for _ in range(200):
        outer = Dataset()
        outer.VOILUTSequence = Sequence([item])
        item = outer
    data = pydicom.dcmread(plain)
    data.VOILUTSequence = item.VOILUTSequence
    data.save_as(plain)
    assert dicom.read(plain).voi_lut is None
    opened = b"\x28\x00\x10\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    raw = plain.read_bytes()
    assert kind(BytesIO(raw[: raw.index(b"\x28\x00\x02\x00")] + opened * 50_000)) in (
        "corrupt",
        "no-pixels",
    )


def test_millions_of_elements_and_fragments(
    plain: Path, wavelet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = plain.read_bytes()
    head = raw[: raw.index(b"\xe0\x7f\x10\x00")]
    many = b"".join(struct.pack("<HH2sH", 0x29, 0x1000, b"LO", 0) for _ in range(8)) * (1 << 17)
    monkeypatch.setattr(source, "MAX_HEADER_BYTES", 1 << 20)  # seconds, at its true value
    assert kind(BytesIO(head + many)) == "too-large"
    raw = wavelet.read_bytes()
    start = raw.index(b"\xe0\x7f\x10\x00") + 12
    assert kind(BytesIO(raw[:start] + b"\xfe\xff\x00\xe0\0\0\0\0" * 100_000)) == "corrupt"


def patched(stream: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    place = stream.index(marker) + offset
    return stream[:place] + value + stream[place + len(value) :]


@pytest.mark.parametrize(
    ("marker", "offset", "value"),
    [
        (b"\xff\x51", 22, struct.pack(">II", 1, 1)),  # tiles of one pixel
        (b"\xff\x51", 6, struct.pack(">II", 1 << 30, 1 << 30)),  # a larger image
        (b"\xff\x51", 38, b"\x40\x00"),  # 16384 components
        (b"\xff\x52", 6, b"\xff\xff"),  # 65535 layers
        (b"\xff\x52", 9, b"\x21"),  # 33 decompositions
    ],
)
def test_claims_of_a_jpeg_2000_stream(
    tmp_path: Path, marker: bytes, offset: int, value: bytes
) -> None:
    pixels = dicoms.draw(600, 500)
    stream = patched(dicoms.encode(pixels, JPEG_2000, 12), marker, offset, value)
    path = dicoms.write(tmp_path / "a.dcm", pixels, JPEG_2000, stream=stream)
    assert kind(path) in ("corrupt", "too-large")


@pytest.mark.slow
def test_the_largest_image_stays_under_a_gigabyte(tmp_path: Path) -> None:
    """A valid file of 67 million pixels in a few kilobytes, through a worker of its own."""
    pixels = np.zeros((8192, 8192), np.uint16)
    pixels[1000:7000, :5000] = 1000
    for syntax in (JPEG_2000, LOSSLESS):
        path = dicoms.write(tmp_path / f"{syntax}.dcm", pixels, syntax)
        with workers.Workers(1) as pool:
            configs = tuple(PRESETS.values())
            task = workers.Task(key=0, path=path, configs=configs)
            (result,) = workers.load_all(pool, [task])
        assert not isinstance(result.loaded, ImageError)
        assert result.peak_rss < 1e9


def test_an_rle_bomb(tmp_path: Path) -> None:
    segment = b"\x81\x07" * 400_000  # 128 bytes for 2, far more than the image holds
    header = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
    pixels = dicoms.draw(60, 50)
    path = dicoms.write(tmp_path / "a.dcm", pixels, RLE, stream=header + segment * 2)
    assert kind(path) == "corrupt"


# --- the rest ---


def test_an_error_crosses_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(ImageError("corrupt", "a.dcm: no.")))
    assert (error.kind, str(error)) == ("corrupt", "a.dcm: no.")


def test_files_are_closed(wavelet: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"x" * 1000)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        dicom.read(wavelet)
        with pytest.raises(ImageError):
            dicom.read(bad)
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_give_the_same_inputs(wavelet: Path, lossless: Path) -> None:
    configs = list(PRESETS.values())[:2]
    expected = {path: load(path, configs).inputs for path in (wavelet, lossless)}
    wrong: list[Path] = []

    def work() -> None:
        for path, inputs in list(expected.items()) * 5:
            for one, other in zip(load(path, configs).inputs, inputs, strict=True):
                if not np.array_equal(one, other):
                    wrong.append(path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("syntax", [JPEG_2000, LOSSLESS])
def test_flipped_bits_do_not_hurt(tmp_path: Path, syntax: str) -> None:
    """A few hundred here; `python -m benchmarks fuzz` takes 20,000, in processes."""
    raw = dicoms.write(tmp_path / "a.dcm", dicoms.draw(120, 90), syntax).read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(150):
        data = bytearray(raw)
        for place in rng.integers(0, len(data), 5):
            data[place] ^= 1 << rng.integers(8)
        try:
            assert load(BytesIO(data), [PRESETS["baseline-512"]]).inputs[0].shape == (512, 512)
        except ImageError:
            continue


def test_encapsulated_without_a_frame(tmp_path: Path) -> None:
    path = dicoms.write(tmp_path / "a.dcm", dicoms.draw(60, 50), JPEG_2000, stream=b"\0\0")
    assert kind(path) == "corrupt"
    raw = path.read_bytes()
    assert kind(BytesIO(raw[: -8 - 10] + raw[-8:])) == "no-pixels"
