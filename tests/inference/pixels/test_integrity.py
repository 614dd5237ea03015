"""Damage is noticed, and sound files are not called damaged."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import data_store
import numpy as np
import pydicom
import pytest

from inference.pixels import decoders, dicom, integrity, lossless
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS
from tests.inference.pixels import dicoms

REAL = Path(data_store.__file__).parent / "data"
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
SECTOR = 512


def zero_sector(data: bytearray, at: int) -> None:
    start = at // SECTOR * SECTOR
    data[start : start + SECTOR] = bytes(SECTOR)


def zero_tail(data: bytearray, at: int) -> None:
    data[at:-2] = bytes(len(data) - 2 - at)  # but for the marker of the end


def cut_hole(data: bytearray, at: int) -> None:
    del data[at : at + SECTOR]


@pytest.mark.parametrize("damage", [zero_sector, zero_tail, cut_hole])
@pytest.mark.parametrize("way", ["libjpeg-turbo", "numba"])
def test_damage_to_jpeg_lossless_is_noticed(
    damage: Callable[[bytearray, int], None],
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fifty of each, wherever it strikes; what changes no pixel is none."""
    if way == "libjpeg-turbo":
        rows = tuple(row for row in decoders.DECODERS if not row.declines)
        monkeypatch.setattr(decoders, "DECODERS", rows)
    pixels = dicoms.draw(651, 503)
    stream = dicoms.encode(pixels, dicoms.JPEG_LOSSLESS_SV1, 12)
    rng = np.random.default_rng(7)
    unnoticed = damaged = 0
    while damaged < 50:
        data = bytearray(stream)
        damage(data, int(rng.integers(1000, len(data) - 2 * SECTOR)))
        path = dicoms.write(
            tmp_path / "a.dcm", pixels, dicoms.JPEG_LOSSLESS_SV1, stream=bytes(data)
        )
        try:
            image = dicom.read(path)
        except ImageError:
            damaged += 1
            continue
        if not np.array_equal(image.pixels, pixels):
            damaged += 1
            unnoticed += not image.suspicious
    assert unnoticed == 0


@pytest.mark.parametrize("syntax", [dicoms.JPEG_LOSSLESS_SV1, dicoms.EXPLICIT_LITTLE_ENDIAN])
def test_what_is_loaded_says_that_it_is_suspicious(syntax: str, tmp_path: Path) -> None:
    pixels = dicoms.draw(1301, 1003) + 7
    data = bytearray(dicoms.encode(pixels, syntax, 12))
    zero_sector(data, len(data) // 2)
    path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, stream=bytes(data))
    assert load(path, [PRESETS["baseline-512"]]).suspicious
    sound = dicoms.write(tmp_path / "b.dcm", pixels, syntax)
    assert not load(sound, [PRESETS["baseline-512"]]).suspicious


def test_an_uncompressed_file_with_a_zeroed_tail_is_suspicious(tmp_path: Path) -> None:
    pixels = dicoms.draw(400, 301) + 7
    data = bytearray(pixels.tobytes())
    data[len(data) // 2 + 100 :] = bytes(len(data) - len(data) // 2 - 100)
    path = dicoms.write(tmp_path / "a.dcm", pixels, stream=bytes(data))
    assert dicom.read(path).suspicious == (
        "its last samples are blank, from the middle of a row on",
    )


def test_a_tail_that_begins_inside_the_breast_is_seen_though_there_is_air_beside(
    tmp_path: Path,
) -> None:
    """Whatever it was compressed by afterwards: these pixels lost their tail before."""
    pixels = dicoms.draw(1300, 1001)
    breast = int(np.flatnonzero(pixels[600])[-1])
    assert 500 < breast < 800
    pixels[600, breast - 200 :] = 0
    pixels[601:] = 0
    for syntax in (dicoms.EXPLICIT_LITTLE_ENDIAN, dicoms.JPEG_LOSSLESS_SV1):
        path = dicoms.write(tmp_path / "a.dcm", pixels, syntax)
        assert dicom.read(path).suspicious == (
            "its last samples are blank, from the middle of a row on",
        )


@pytest.mark.parametrize(
    "syntax", [dicoms.JPEG_LOSSLESS_SV1, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80"]
)
def test_more_than_a_byte_of_padding_behind_the_end_is_suspicious(
    syntax: str, tmp_path: Path
) -> None:
    pixels = dicoms.draw(130, 103, 8).astype(np.uint8)
    stream = dicoms.encode(pixels, syntax, 8)
    odd = b"\0" * (len(stream) % 2)
    for padding, signs in (
        (odd, ()),
        (odd + b"\0\0", (f"{2 + len(odd)} bytes follow its stream's end",)),
    ):
        path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, 8, stream=stream + padding)
        assert dicom.read(path).suspicious == signs


def test_runs_of_what_a_lossy_coder_made_equal_are_sound() -> None:
    pixels = dicoms.draw(400, 301) + 7
    pixels[300:] = 2
    pixels[-1, 100:] = 1  # the last row ends with a run
    pixels[350, 50:280] = 0  # and so does another
    assert integrity.judge_native(pixels) == ()
    assert integrity.judge_native(pixels.astype(np.int16) - 2) == ()


@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_a_lost_sector_inside_the_breast_is_seen(kind: str) -> None:
    pixels = (dicoms.draw(1300, 1001) + 7).astype(kind)
    pixels[600, 100:356] = 0
    assert integrity.judge_native(pixels) == (
        "it has a blank stretch between rows that are not blank there",
    )


def test_blank_rows_below_a_collimators_edge_are_sound() -> None:
    pixels = dicoms.draw(400, 301) + 7
    pixels[250:] = 0
    assert integrity.judge_native(pixels) == ()
    assert integrity.judge_native(np.zeros((50, 40), np.uint16)) == ()
    assert integrity.judge_native(np.zeros((1, 1), np.uint16)) == ()


def sound_files() -> list[Path]:
    """Return the real single-frame grey pictures at hand that are no damaged samples."""
    names = []
    for path in sorted({*REAL.glob("*.dcm"), *BUNDLED.glob("*.dcm")}):
        if "short" in path.name or "bad" in path.name or "truncated" in path.name:
            continue
        try:
            dicom.read(path)
        except ImageError:
            continue
        names.append(path)
    return names


def test_no_real_picture_is_called_suspicious() -> None:
    files = sound_files()
    assert len(files) >= 40
    for size in (None, (64, 64)):
        signs = {path.name: dicom.read(path, size).suspicious for path in files}
        assert {name: reasons for name, reasons in signs.items() if reasons} == {}


@pytest.mark.skipif(not (shutil.which("dcmcjpeg") or os.environ.get("CI")), reason="needs dcmtk")
@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "MR2_UNCR.dcm"])
@pytest.mark.parametrize(
    "command",
    [
        *(f"dcmcjpeg +el +sv {selection}" for selection in range(1, 8)),
        "dcmcjpeg +el +sv 1 +pt 2",
        "dcmcjpeg +e1 +fs 8",
        "dcmcjpeg +eb",
        "dcmcjpeg +ee",
        "dcmcjpls +el",
        "dcmcjpls +en",
        "dcmcrle",
    ],
)
def test_what_dcmtk_encodes_in_any_way_is_sound(command: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    subprocess.run([*command.split(), REAL / name, path], check=True)
    assert dicom.read(path).suspicious == ()


@pytest.mark.skipif(not (shutil.which("dcmcjpeg") or os.environ.get("CI")), reason="needs dcmtk")
@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm"])
def test_what_dcmtk_encodes_is_sound(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    subprocess.run(["dcmcjpeg", "+e1", REAL / name, path], check=True)
    assert not dicom.read(path).suspicious
    data = pydicom.dcmread(path)
    frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
    assert np.array_equal(lossless.decode(frame), dicom.read(REAL / name).pixels)


@pytest.mark.parametrize("fill", [1, 2, 5])
def test_fill_bytes_before_the_end_are_legal(fill: int, tmp_path: Path) -> None:
    """DCMTK writes one where that makes the length even; the compiled loop takes it, too."""
    pixels = dicoms.draw(130, 103)
    stream = dicoms.encode(pixels, dicoms.JPEG_LOSSLESS_SV1, 12)
    filled = stream[:-2] + b"\xff" * fill + stream[-2:]
    assert np.array_equal(lossless.decode(filled), pixels)
    tables = filled.index(b"\xff\xc4")  # before any marker
    filled = filled[:tables] + b"\xff" * fill + filled[tables:]
    assert np.array_equal(lossless.decode(filled), pixels)
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_LOSSLESS_SV1, stream=filled)
    image = dicom.read(path)
    assert np.array_equal(image.pixels, pixels)
    assert not image.suspicious
