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
    assert {path.name: signs for path in files if (signs := dicom.read(path).suspicious)} == {}


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
