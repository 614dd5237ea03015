"""Pictures that other people's encoders wrote, against a reference that shares no code with ours.

The reference is pydicom's full decode; of it the low-pass band from the standard's equations (see
`wavelet`), an average by area from a matrix of overlaps, and the window in floating point.
"""

import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from inference.pixels import dicom, lifting
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from tests.inference.pixels import dicoms, wavelet

DCMTK = {
    "jpeg lossless sv1": "dcmcjpeg +e1",
    "jpeg lossless, predictor 6": "dcmcjpeg +el",
    "jpeg lossless, predictor 4, no offset table": "dcmcjpeg +el +sv 4 -ot",
    "jpeg lossless in fragments": "dcmcjpeg +e1 +fs 1",
    "jpeg-ls": "dcmcjpls +el",
    "rle": "dcmcrle",
    "rle in fragments": "dcmcrle +fs 1",
    "deflated": "dcmconv +td",
    "big endian": "dcmconv +tb",
    "implicit": "dcmconv +ti",
}
GDCM = {
    "gdcm jpeg lossless": "gdcmconv --jpeg",
    "gdcm jpeg-ls": "gdcmconv --jpegls",
    "gdcm jpeg 2000": "gdcmconv --j2k",
    "gdcm rle": "gdcmconv --rle",
}
PYDICOM = {
    "openjpeg": ("1.2.840.10008.1.2.4.90", "pylibjpeg"),
    "pydicom rle": ("1.2.840.10008.1.2.5", "pydicom"),
}
ENCODERS = [*DCMTK, *GDCM, *PYDICOM]
LUT = [4095 - 4 * number for number in range(1000)]  # what lies outside gets the ends
SIDES = st.one_of(st.integers(1, 12), st.sampled_from([97, 101, 128, 211, 307]))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What one file holds, and how it wants to be shown."""

    rows: int
    columns: int
    bits: int
    signed: bool
    inverted: bool
    slope: float
    intercept: float
    voi: str  # LINEAR, LINEAR_EXACT, SIGMOID or LUT
    seed: int

    def pixels(self) -> np.ndarray:
        """Return stored values with edges from end to end of their range, so that they ring."""
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[: self.rows, : self.columns]
        values = (np.sin(x / 17) * np.cos(y / 23) + 1) / 2 * ((1 << self.bits) - 1)
        values += rng.normal(scale=(1 << self.bits) / 64, size=values.shape)
        values[(x // 29 + y // 31) % 5 == 0] = (1 << self.bits) - 1
        values[(x // 29 + y // 31) % 7 == 0] = 0
        values = np.clip(values, 0, (1 << self.bits) - 1).astype(np.int32)
        if self.signed:
            values -= 1 << (self.bits - 1)
        return values.astype(f"{'i' if self.signed else 'u'}{1 if self.bits <= 8 else 2}")


PICTURES = st.builds(
    Picture,
    rows=SIDES,
    columns=SIDES,
    bits=st.integers(8, 16),
    signed=st.booleans(),
    inverted=st.booleans(),
    slope=st.sampled_from([1.0, 2.5]),
    intercept=st.sampled_from([0.0, -100.0]),
    voi=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]),
    seed=st.integers(0, 999),
)
# Of few pixels pydicom's encoder makes no six resolutions.
LARGE = PICTURES.filter(lambda picture: min(picture.rows, picture.columns) >= 32)


def write(path: Path, picture: Picture) -> Path:
    """Write the picture uncompressed, as all the encoders take it."""
    low = picture.intercept - (picture.slope * (1 << (picture.bits - 1)) if picture.signed else 0)
    span = picture.slope * ((1 << picture.bits) - 1)
    elements: dict[str, object] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2",
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.5",
        "Modality": "MG",
        "PhotometricInterpretation": f"MONOCHROME{1 if picture.inverted else 2}",
        "RescaleSlope": picture.slope,
        "RescaleIntercept": picture.intercept,
    }
    if picture.voi == "LUT":
        item = Dataset()
        item.LUTDescriptor = [len(LUT), 5, 12]
        item.LUTData = LUT if picture.seed % 2 else np.array(LUT, "<u2").tobytes()
        item["LUTData"].VR = "US" if picture.seed % 2 else "OW"
        item["LUTDescriptor"].VR = "US"
        elements["VOILUTSequence"] = [item]
    else:
        elements["WindowCenter"] = round(low + span * 0.45)
        elements["WindowWidth"] = round(span * 0.6) + 2
        elements["VOILUTFunction"] = picture.voi
    return dicoms.write(path, picture.pixels(), bits=picture.bits, **elements)


def encode(name: str, source: Path, path: Path) -> bool:
    """Encode a file; say whether the encoder took it."""
    if name in PYDICOM:
        syntax, plugin = PYDICOM[name]
        data = pydicom.dcmread(source)
        try:
            data.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        except RuntimeError:  # six resolutions of a few pixels
            return False
        data.save_as(path)
        return True
    program, *options = (DCMTK | GDCM)[name].split()
    beside = Path(sys.executable).parent / program  # gdcmconv comes with its package
    command = [beside if beside.exists() else program, *options]
    done = subprocess.run([*command, source, path], capture_output=True, text=True)
    return done.returncode == 0 and path.exists()


# --- the reference ---


def reference(path: Path, config: PreprocessConfig) -> np.ndarray:
    """Return float64 [H, W] from 0 to 255 from pydicom's decode, by formulas alone."""
    data = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stream that happens to be as long as its pixels
        stored = data.pixel_array.astype(np.int64)
    bits, signed = data.BitsStored, data.PixelRepresentation
    wanted = tuple(side * config.decode_margin for side in config.size)
    levels = 0
    while all(
        -(-side >> (levels + 1)) >= least for side, least in zip(stored.shape, wanted, strict=True)
    ) and (2 << levels) < 2 * max(stored.shape):
        levels += 1
    low = -(1 << (bits - 1)) if signed else 0
    reduced = wavelet.reduce(stored, levels)
    reduced = np.clip(reduced, low, low + (1 << bits) - 1) if levels else stored
    rows, columns = (
        overlaps(length, size) for length, size in zip(reduced.shape, config.size, strict=True)
    )
    averaged = rows @ reduced @ columns.T
    shown = show(averaged, data)
    return 255 * (1 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown)


def overlaps(length: int, count: int) -> np.ndarray:
    """Return [count, length]: which share of each cell each sample covers."""
    edges = np.arange(count + 1) * length / count
    first, last = edges[:-1, None], edges[1:, None]
    samples = np.arange(length)[None]
    covered = np.minimum(last, samples + 1) - np.maximum(first, samples)
    return np.clip(covered, 0, None) * count / length


def show(values: np.ndarray, data: Dataset) -> np.ndarray:
    """Return 0 … 1 as PS3.3 C.11.2.1 has it."""
    values = values * float(data.RescaleSlope) + float(data.RescaleIntercept)
    if "VOILUTSequence" in data:
        item = data.VOILUTSequence[0]
        count, first, bits = item.LUTDescriptor
        table = item.LUTData
        if isinstance(table, bytes):
            table = np.frombuffer(table, "<u2" if data.original_encoding[1] else ">u2")
        table = np.array(table, float)
        at = np.clip(values - first, 0, count - 1)
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, count - 1)
        return (table[below] + (table[above] - table[below]) * (at - below)) / (2**bits - 1)
    center, width = float(data.WindowCenter), float(data.WindowWidth)
    if data.VOILUTFunction == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if data.VOILUTFunction == "LINEAR":
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    return np.clip((values - center) / width + 0.5, 0, 1)


def assert_as_the_reference(path: Path, config: PreprocessConfig, picture: Picture) -> None:
    loaded = load(path, [config])
    assert loaded.suspicious == ()
    difference = np.abs(loaded.inputs[0] - reference(path, config)).max()
    # Float32 beside float64, and a steep table makes more of the last bit than a window does.
    most = 1.0 if picture.voi == "LUT" else 0.51
    assert difference <= most, (picture, config.size, difference)


# A run of an encoder takes long enough without looking for the smallest picture that fails.
PHASES = (Phase.explicit, Phase.generate)
CONFIG = PreprocessConfig(
    size=(24, 20), window="dicom", crop="none", flip="none", fit="stretch", version=2
)


@pytest.mark.skipif(not (shutil.which("dcmcjpeg") or os.environ.get("CI")), reason="needs dcmtk")
@pytest.mark.parametrize("name", ENCODERS)
def test_what_others_encode_is_what_the_formulas_say(name: str, tmp_path: Path) -> None:
    taken = 0

    @settings(
        deadline=None,
        max_examples=10,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        derandomize=True,
        phases=PHASES,
        database=None,
    )
    @given(LARGE if name == "openjpeg" else PICTURES, st.sampled_from([1.0, 2.0]))
    def compare(picture: Picture, margin: float) -> None:
        nonlocal taken
        source, path = tmp_path / "source.dcm", tmp_path / "encoded.dcm"
        path.unlink(missing_ok=True)
        write(source, picture)
        config = replace(CONFIG, decode_margin=margin)
        plain = load(source, [config]).inputs[0]
        assert_as_the_reference(source, config, picture)
        if not encode(name, source, path):
            return
        taken += 1
        assert np.array_equal(dicom.read(path).pixels, picture.pixels())
        assert np.array_equal(load(path, [config]).inputs[0], plain), picture
        assert_as_the_reference(path, config, picture)

    compare()
    assert taken >= 3


@pytest.mark.skipif(not (shutil.which("dcmcjpeg") or os.environ.get("CI")), reason="needs dcmtk")
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("seed", [2, 3])  # the table as words and as numbers
def test_the_table_of_values_is_read_from_any_file(name: str, seed: int, tmp_path: Path) -> None:
    picture = Picture(
        rows=97,
        columns=101,
        bits=12,
        signed=False,
        inverted=False,
        slope=1.0,
        intercept=0.0,
        voi="LUT",
        seed=seed,
    )
    source = write(tmp_path / "source.dcm", picture)
    assert encode(name, source, tmp_path / "encoded.dcm")
    assert_as_the_reference(tmp_path / "encoded.dcm", CONFIG, picture)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 5)])
def test_an_odd_number_of_bytes_that_gdcm_made_even(shape: tuple[int, int], tmp_path: Path) -> None:
    """Its run-length encoder adds a byte to an odd number of pixels, and encodes it, too."""
    pixels = np.full(shape, 9, np.uint8)
    run = pixels.size + 1
    stream = bytes([1, 0, 0, 0, 64, *bytes(59), 257 - run, 9])
    path = dicoms.write(tmp_path / "a.dcm", pixels, "1.2.840.10008.1.2.5", 8, stream=stream)
    assert np.array_equal(dicom.read(path).pixels, pixels)
    stream = bytes([1, 0, 0, 0, 64, *bytes(59), 256 - run, 9])  # two bytes more are a fault
    path = dicoms.write(tmp_path / "a.dcm", pixels, "1.2.840.10008.1.2.5", 8, stream=stream)
    with pytest.raises(ImageError):
        dicom.read(path)


def test_a_mistake_in_the_lifting_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each of these would change is more than the comparison allows."""
    picture = Picture(
        rows=211,
        columns=307,
        bits=12,
        signed=False,
        inverted=False,
        slope=1.0,
        intercept=0.0,
        voi="LINEAR_EXACT",
        seed=3,
    )
    path = write(tmp_path / "a.dcm", picture)
    assert_as_the_reference(path, CONFIG, picture)
    right, clip = lifting.halve_by_numpy, lifting.clip
    with monkeypatch.context() as patch:
        patch.setattr(lifting, "_halve", lambda pixels: right(pixels.T).T)  # rows first
        assert not np.array_equal(lifting.Pyramid(picture.pixels()).band(2), band(picture))
    with monkeypatch.context() as patch:
        patch.setattr(lifting, "_halve", lambda pixels: pixels[::2, ::2].astype(np.int32))
        with pytest.raises(AssertionError):
            assert_as_the_reference(path, CONFIG, picture)
    with monkeypatch.context() as patch:
        patch.setattr(lifting, "clip", lambda band, bits, *more: clip(band, bits - 1, *more))
        with pytest.raises(AssertionError):
            assert_as_the_reference(path, CONFIG, picture)


def band(picture: Picture) -> np.ndarray:
    return wavelet.reduce(picture.pixels(), 2)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_pictures_of_few_pixels(rows: int, columns: int, tmp_path: Path) -> None:
    pixels = (np.arange(rows * columns, dtype=np.uint16) * 111).reshape(rows, columns)
    for syntax in (dicoms.EXPLICIT_LITTLE_ENDIAN, dicoms.JPEG_LOSSLESS_SV1, "1.2.840.10008.1.2.5"):
        path = dicoms.write(tmp_path / "a.dcm", pixels, syntax)
        loaded = load(path, [replace(CONFIG, window="min-max")])
        assert loaded.suspicious == ()
        assert loaded.inputs[0].shape == CONFIG.size
        assert np.array_equal(dicom.read(path).pixels, pixels)
