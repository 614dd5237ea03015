"""Stored values equal pydicom's, bit for bit, for every transfer syntax that is read."""

import warnings
from dataclasses import replace
from io import BytesIO
from math import ceil
from pathlib import Path

import data_store
import imagecodecs
import numpy as np
import openjpeg
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from inference.pixels import __main__ as table
from inference.pixels import decoders, dicom, proven, stored
from inference.pixels.errors import ImageError
from inference.pixels.header import Window
from tests.inference.pixels import dicoms, wavelet

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
DOWNLOADED = Path(data_store.__file__).parent / "data"


def real(name: str) -> Path:
    """Return a file of pydicom or of pydicom-data."""
    return next(folder / name for folder in (BUNDLED, DOWNLOADED) if (folder / name).exists())


def by_pydicom(path: Path, plugin: str = "") -> np.ndarray:
    """Return pydicom's pixel array in the machine's byte order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        data.pixel_array_options(decoding_plugin=plugin)
        array = data.pixel_array
    return array.astype(array.dtype.newbyteorder("="))


MONOCHROME = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_padded.dcm",
    "image_dfl.dcm",
    "examples_overlay.dcm",
    "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "vlut_04.dcm",
    "mlut_18.dcm",
    "explicit_VR-UN.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "JPEG-LL.dcm",
    "bad_sequence.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KR.dcm",
    "693_J2KI.dcm",
    "JPEG2000.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "MR2_J2KR.dcm",
    "MR2_J2KI.dcm",
    "RG1_UNCR.dcm",
    "RG1_J2KR.dcm",
    "RG1_J2KI.dcm",
    "RG3_J2KR.dcm",
    "RG3_J2KI.dcm",
]
WAVELET = [name for name in MONOCHROME if "J2K" in name or "jp2k" in name or "JPEG2000" in name]


@pytest.mark.parametrize("name", MONOCHROME)
def test_real_files(name: str) -> None:
    image = dicom.read(real(name))
    expected = by_pydicom(real(name))
    assert image.pixels.dtype == expected.dtype
    assert np.array_equal(image.pixels, expected)
    assert image.reduction == 0


def test_extended_jpeg_of_12_bits_is_within_one_of_libjpeg() -> None:
    """Lossy, so that decoders may round the cosine transform differently."""
    path = real("JPGExtended.dcm")
    pixels = dicom.read(path).pixels.astype(int)
    assert np.abs(pixels - by_pydicom(path, "pylibjpeg")).max() <= 1


@pytest.mark.parametrize("name", WAVELET)
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_real_files_reduced_equal_openjpegs_own_reduction(name: str, reduction: int) -> None:
    data = pydicom.dcmread(real(name))
    rows, columns = (-(-side >> reduction) for side in (data.Rows, data.Columns))
    with dicom.OpenDicom(real(name)) as file:
        image = file.decode((rows, columns), stored.BY_FILE)
    if image.reduction == 0:  # the stream's sign differs from the data set's
        assert name == "J2K_pixelrep_mismatch.dcm"
        return
    assert image.reduction == reduction
    assert image.pixels.shape == (rows, columns)
    frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
    expected = by_pillow(frame, reduction, image.signed)
    if expected is None:
        assert name.startswith("RG1")
        # Lossy: other filters (9/7), whose low-pass differs by a few thousandths of 15 bits.
        tolerance = 0 if name == "RG1_J2KR.dcm" else 100
        expected = wavelet.reduce(dicom.read(real(name)).pixels, reduction)
        assert np.median(np.abs(image.pixels - expected)) <= tolerance
    else:
        assert np.array_equal(image.pixels, expected)


@pytest.mark.parametrize("name", WAVELET)
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_real_files_reduced_equal_the_standards_low_pass_band(name: str, reduction: int) -> None:
    """Whatever the stream is: lossy, tiled, of another sign, with too few levels."""
    full = dicom.read(real(name))
    image = dicom.read(
        real(name), (ceil(full.rows / 2**reduction), ceil(full.columns / 2**reduction))
    )
    low = -(1 << (full.bits_stored - 1)) if full.signed else 0
    expected = np.clip(
        wavelet.reduce(full.pixels, reduction), low, low + (1 << full.bits_stored) - 1
    )
    assert image.reduction == reduction
    assert np.array_equal(image.pixels, expected)


def by_pillow(frame: bytes, reduction: int, signed: bool) -> np.ndarray | None:
    """Return OpenJPEG's own reduced decode; None where Pillow trips over an odd size."""
    precision = openjpeg.get_parameters(frame)["precision"]
    try:
        with Image.open(BytesIO(frame)) as reduced:
            reduced.reduce = reduction
            values = np.array(reduced).astype(np.int64)
    except OSError:
        return None
    values >>= 16 - precision if precision > 8 else 0
    return values - (1 << (precision - 1)) if signed else values


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("predictor", range(1, 8))
def test_jpeg_lossless_of_all_depths_and_predictors(
    tmp_path: Path, bits: int, predictor: int
) -> None:
    pixels = dicoms.draw(65, 47, bits).astype("u1" if bits == 8 else "u2")
    syntax = dicoms.JPEG_LOSSLESS_SV1 if predictor == 1 else "1.2.840.10008.1.2.4.57"
    stream = imagecodecs.jpeg8_encode(
        pixels, lossless=True, predictor=predictor, bitspersample=bits
    )
    path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, bits, stream)
    assert np.array_equal(dicom.read(path).pixels, pixels)
    assert np.array_equal(by_pydicom(path, "pylibjpeg"), pixels)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 13, 15, 16])
@pytest.mark.parametrize(
    "syntax", ["JPEG2000Lossless", "JPEGLSLossless", "RLELossless", "JPEGLosslessSV1", "none"]
)
def test_generated_files(tmp_path: Path, syntax: str, bits: int, signed: bool) -> None:
    pixels = dicoms.draw(93, 61, bits).astype("u1" if bits == 8 else "u2")
    if signed:
        pixels = (pixels.astype(np.int32) - (1 << (bits - 1))).astype(
            pixels.dtype.str.replace("u", "i")
        )
    uid = dicoms.EXPLICIT_LITTLE_ENDIAN
    if syntax != "none":
        uid = str(getattr(pydicom.uid, syntax))
    path = dicoms.write(tmp_path / "a.dcm", pixels, uid, bits)
    image = dicom.read(path)
    assert image.signed == signed
    assert image.pixels.dtype == pixels.dtype
    assert np.array_equal(image.pixels, pixels)
    assert np.array_equal(by_pydicom(path), pixels)


@pytest.mark.parametrize("bits", [8, 12])
def test_baseline_and_extended_jpeg(tmp_path: Path, bits: int) -> None:
    pixels = dicoms.draw(93, 61, bits).astype("u1" if bits == 8 else "u2")
    syntax = "1.2.840.10008.1.2.4.50" if bits == 8 else "1.2.840.10008.1.2.4.51"
    path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, bits)
    read = dicom.read(path).pixels.astype(int)
    # 8 bits: pydicom's Pillow has the same libjpeg-turbo; 12: another decoder, lossy.
    expected = by_pydicom(path, "pillow" if bits == 8 else "pylibjpeg")
    assert np.abs(read - expected).max() <= (0 if bits == 8 else 1)


@pytest.mark.parametrize("uid", sorted(decoders.HTJ2K))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_high_throughput_jpeg_2000(tmp_path: Path, uid: str, bits: int) -> None:
    pixels = dicoms.draw(300, 200, bits).astype("u1" if bits == 8 else "u2")
    stream = imagecodecs.htj2k_encode(pixels, reversible=True, resolutions=5)
    path = dicoms.write(tmp_path / "a.dcm", pixels, uid, bits, stream)
    assert np.array_equal(dicom.read(path).pixels, pixels)
    assert np.array_equal(by_pydicom(path), pixels)
    reduced = dicom.read(path, (75, 50))
    assert reduced.reduction == 2
    low = np.clip(wavelet.reduce(pixels, 2), 0, np.iinfo(pixels.dtype).max)
    assert np.array_equal(reduced.pixels, low)


def test_a_frame_in_many_fragments(tmp_path: Path) -> None:
    pixels = dicoms.draw(600, 500)
    frame = dicoms.encode(pixels, dicoms.JPEG_2000_LOSSLESS, 12)
    one = dicoms.write(tmp_path / "one.dcm", pixels, dicoms.JPEG_2000_LOSSLESS, stream=frame)
    for offsets in (True, False):
        data = pydicom.dcmread(one)
        data.PixelData = encapsulate([frame], fragments_per_frame=7, has_bot=offsets)
        path = tmp_path / "many.dcm"
        data.save_as(path)
        assert np.array_equal(dicom.read(path).pixels, pixels)
        assert np.array_equal(
            dicom.read(path, (150, 125)).pixels, dicom.read(one, (150, 125)).pixels
        )


def test_values_above_bits_stored_are_dropped_as_pydicom_drops_them(tmp_path: Path) -> None:
    pixels = dicoms.draw(64, 48, 16)
    for syntax in (dicoms.EXPLICIT_LITTLE_ENDIAN, dicoms.JPEG_LOSSLESS_SV1):
        stream = dicoms.encode(pixels, syntax, 16)
        path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, 12, stream)
        expected = by_pydicom(path)
        assert expected.max() < 4096 < pixels.max()
        assert np.array_equal(dicom.read(path).pixels, expected)


def test_a_file_object_is_read_like_a_path(tmp_path: Path) -> None:
    path = dicoms.write(tmp_path / "a.dcm", dicoms.draw(300, 200), dicoms.JPEG_2000_LOSSLESS)
    by_object = dicom.read(BytesIO(path.read_bytes()), (75, 50))
    by_path = dicom.read(path, (75, 50))
    assert np.array_equal(by_object.pixels, by_path.pixels)
    assert by_object.bytes_read == by_path.bytes_read < path.stat().st_size


def test_only_the_head_of_a_large_file_is_read(tmp_path: Path) -> None:
    pixels = dicoms.draw(2800, 2100)
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_2000_LOSSLESS)
    image = dicom.read(path, (512, 512))
    assert image.reduction == 2
    assert image.bytes_read < 0.1 * path.stat().st_size


def test_what_interprets_the_values(tmp_path: Path) -> None:
    path = dicoms.write(
        tmp_path / "a.dcm",
        dicoms.draw(20, 10),
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope="2.5",
        RescaleIntercept="-7",
        WindowCenter=["2000", "100"],
        WindowWidth=["400", "-1"],
        VOILUTFunction="SIGMOID",
        ImageLaterality="R",
        ViewPosition="MLO",
    )
    image = dicom.read(path)
    assert image.photometric == "MONOCHROME1"
    assert (image.slope, image.intercept) == (2.5, -7)
    assert image.windows == (Window(center=2000, width=400),)
    assert image.voi_function == "SIGMOID"
    assert (image.laterality, image.view) == ("R", "MLO")


@pytest.mark.parametrize("name", ["vlut_04.dcm"])
def test_a_real_voi_lut_is_read(name: str) -> None:
    image = dicom.read(real(name))
    item = pydicom.dcmread(real(name)).VOILUTSequence[0]
    assert image.voi_lut is not None
    assert list(image.voi_lut.values) == list(item.LUTData)
    assert image.voi_lut.first == item.LUTDescriptor[1]


DECODER_CASES = [(row, syntax) for row in decoders.DECODERS for syntax in sorted(row.syntaxes)]


@pytest.mark.parametrize(
    ("row", "syntax"),
    DECODER_CASES,
    ids=[f"{row.name}-{UID(uid).name}" for row, uid in DECODER_CASES],
)
def test_each_decoder_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: decoders.Decoder, syntax: str
) -> None:
    """No decoder gives other values than the one that is preferred."""
    if not row.is_available():
        pytest.skip(f"{row.name} needs {row.distribution}{' and a GPU' if row.gpu else ''}")
    bits = 8 if syntax in decoders.JPEG_BASELINE else 12
    pixels = dicoms.draw(150, 110, bits).astype("u1" if bits == 8 else "u2")
    path = dicoms.write(tmp_path / "a.dcm", pixels, syntax, bits)
    for at_least in (None, (40, 30)):
        preferred = dicom.read(path, at_least)
        with monkeypatch.context() as patch:
            if isinstance(row.decode, proven.Proven):
                at_once = proven.Proven(row.decode.function, row.decode.judge, worth_after=0)
                row = replace(row, decode=at_once)
            patch.setattr(stored.decoders, "DECODERS", (row,))
            alone = dicom.read(path, at_least)
        assert alone.decoder.split(", in full")[0] == row.name
        assert alone.reduction == preferred.reduction == (0 if at_least is None else 1)
        assert np.array_equal(alone.pixels, preferred.pixels)


def test_the_table_of_decoders_says_which_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    table.main(["--decoders"])
    printed = capsys.readouterr().out
    for uid in decoders.SUPPORTED:
        assert f"{uid}  {UID(uid).name}" in printed
    declining = [row for row in decoders.DECODERS if row.declines and row.is_available()]
    besides = sum(len(row.syntaxes) for row in declining)
    assert printed.count("    used") == len(decoders.SUPPORTED) + besides
    assert "spare      dicomsdl (dicomsdl " in printed


def test_a_decoder_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = dicoms.write(tmp_path / "a.dcm", dicoms.draw(20, 10), dicoms.JPEG_LOSSLESS_SV1)
    monkeypatch.setattr(decoders, "_is_available", lambda module, codec: False)
    with pytest.raises(ImageError, match="needs imagecodecs") as caught:
        dicom.read(path)
    assert caught.value.kind == "no-decoder"
