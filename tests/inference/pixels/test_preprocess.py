"""From stored values to a model's input."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

import train.phantom
from inference.errors import InputError
from inference.pixels import breast, dicom, extremes, voi
from inference.pixels.header import VoiLut, Window
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig, crop_sides, locate, prepare
from tests.inference.pixels import dicoms


def image(tmp_path: Path, pixels: np.ndarray, bits: int = 12, **elements: object):
    path = dicoms.write(tmp_path / "image.dcm", pixels, bits=bits, **elements)
    return dicom.read(path)


# --- the configuration ---


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name: str) -> None:
    text = json.dumps(PRESETS[name].as_dict())
    assert PreprocessConfig.from_dict(json.loads(text)) == PRESETS[name]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"version": 0},
        {"sharpen": True},
        {"size": [512]},
        {"size": [0, 512]},
        {"size": ["a", "b"]},
        {"size": None},
        {"window": "max"},
        {"crop": "box"},
        {"crop_margin": -1},
        {"crop_margin": "wide"},
        {"percentiles": [99, 1]},
        {"percentiles": 5},
        {"flip": "up"},
        {"fit": "crop"},
        {"reduce": "bicubic"},
        {"decode_margin": 0},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PreprocessConfig.from_dict(PRESETS["roi-1024x512"].as_dict() | change)


def test_a_configuration_without_version_or_size_is_refused() -> None:
    for missing in ("version", "size"):
        values = PRESETS["roi-1024x512"].as_dict()
        del values[missing]
        with pytest.raises(InputError, match="required"):
            PreprocessConfig.from_dict(values)


# --- the bytes ---

# Whoever changes these changes what every trained model sees: raise VERSION in preprocess.py.
GOLDEN = {
    (1, "baseline-512"): "4906341c2a5f804f4ad2933804b4a19fa2c9e16d1ee59ee6eb8cf7a81731eb7a",
    (1, "bilinear-512"): "6aaf3bfffd57429cbd161ad9cdaadf79e7f35efadecaf9e7a5fff5bfb211ad3f",
    (1, "roi-1024x512"): "5d3ff26a4e0c86987d0941fdfdf31d3e1ba2bee639b2b95b3a27d227792eb1a8",
    (1, "roi-1536x768"): "7d836ae8ecf5ac9bdef8be5237de55eda8dab7cd158592300cff1d11495605ef",
    (1, "roi-2048x1024"): "4836539322cea581cfb8bd07cd1ec1703644d54e389a0b81bc5dd2a1fdd5edb3",
    (2, "baseline-512"): "d327edb1d3b21c74a21ddf93201b8b7bf2bead43350e755a78741245f557e2d6",
    (2, "bilinear-512"): "6aaf3bfffd57429cbd161ad9cdaadf79e7f35efadecaf9e7a5fff5bfb211ad3f",
    (2, "roi-1024x512"): "eaa5fcc8c608abdb4e4bba84583646d8d444b207e567243b31afa724fe2ce6c6",
    (2, "roi-1536x768"): "7ad26b0cae7a8a9e6ef6dd6c5f1c6fe3e2d20c61f04a612fb252a968c977d026",
    (2, "roi-2048x1024"): "63b8194fa871954a884b6662373b7caf3dac5ecbfb25b620d51a1225cff290df",
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_the_bytes_of_each_preset_stay(name: str, version: int, tmp_path: Path) -> None:
    config = dataclasses.replace(PRESETS[name], version=version)
    digest = hashlib.sha256()
    for photometric, function in (("MONOCHROME1", "SIGMOID"), ("MONOCHROME2", "LINEAR")):
        for syntax in (dicoms.JPEG_2000_LOSSLESS, dicoms.JPEG_LOSSLESS_SV1):
            path = dicoms.write(
                tmp_path / "a.dcm",
                stepped(2311, 1803),
                syntax,
                PhotometricInterpretation=photometric,
                WindowCenter="1900",
                WindowWidth="2500",
                VOILUTFunction=function,
            )
            digest.update(load(path, [config]).inputs[0])
    assert digest.hexdigest() == GOLDEN[version, name]


def stepped(rows: int, columns: int) -> np.ndarray:
    """Return uint16 [rows, columns], of integer arithmetic only: the same bits anywhere."""
    y, x = np.ogrid[:rows, :columns]
    inside = (y - rows // 2) ** 2 * 5 + x**2 * 4 < rows**2
    texture = (x * 7 + y * 13 + x * y // 50) % 997 + x // 3
    return (inside * (900 + texture)).astype(np.uint16)


# --- windows ---


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_windows_agree_with_pydicom(tmp_path: Path, function: str, slope: float) -> None:
    read = image(
        tmp_path,
        dicoms.draw(80, 60),
        WindowCenter="1800",
        WindowWidth="1500",
        VOILUTFunction=function,
        RescaleSlope=str(slope),
        RescaleIntercept="-100",
    )
    data = pydicom.dcmread(tmp_path / "image.dcm")
    theirs = apply_windowing(apply_modality_lut(data.pixel_array, data), data)
    low, high = -100.0, 4095 * slope - 100  # pydicom's range of output
    ours = voi.apply_voi(read.pixels.astype(np.float32), read)
    assert np.allclose(ours, (theirs - low) / (high - low), atol=1e-5)


def test_a_voi_lut_agrees_with_pydicom(tmp_path: Path) -> None:
    from tests.inference.pixels.test_dicom import real

    read = dicom.read(real("vlut_04.dcm"))
    data = pydicom.dcmread(real("vlut_04.dcm"))
    theirs = apply_voi_lut(data.pixel_array, data)
    lut = read.voi_lut
    assert lut is not None
    ours = voi.apply_voi(read.pixels.astype(np.float32), read)
    assert np.allclose(ours, theirs / ((1 << lut.bits) - 1), atol=1e-6)


def test_a_voi_lut_is_interpolated_between_its_entries() -> None:
    lut = VoiLut(first=10, bits=8, values=(0, 51, 255))
    shown = voi.apply_lut(np.float32([[0, 10, 10.5, 11, 12, 99]]), lut)
    assert np.allclose(shown, [[0, 0, 0.1, 0.2, 1, 1]])


def test_a_file_without_window_is_shown_from_minimum_to_maximum(tmp_path: Path) -> None:
    read = image(tmp_path, np.uint16([[100, 200], [300, 500]]))
    assert np.allclose(voi.apply_voi(read.pixels, read), [[0, 0.25], [0.5, 1]])


@settings(deadline=None)
@given(
    value=st.floats(-1e6, 1e6),
    center=st.floats(-1e5, 1e5),
    width=st.floats(1e-3, 1e6),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_a_window_of_any_size_stays_within_its_range(value, center, width, function) -> None:
    window = Window(center=center, width=width)
    shown = voi.apply_window(np.float32([[value]]), window, function)
    assert shown.dtype == np.float32
    assert 0 <= shown[0, 0] <= 1


# --- the picture ---


def test_the_baseline_is_the_seeds_png(tmp_path: Path) -> None:
    """Minimum to maximum over the whole image, stretched; here without any resizing."""
    pixels = dicoms.draw(96, 64)
    config = dataclasses.replace(PRESETS["baseline-512"], size=(96, 64))
    values = pixels.astype(np.float64)
    values = (values - values.min()) / (values.max() - values.min())
    assert np.array_equal(
        prepare(image(tmp_path, pixels), config), np.floor(values * 255 + 0.5).astype(np.uint8)
    )


def test_monochrome1_looks_like_monochrome2(tmp_path: Path) -> None:
    pixels = dicoms.draw(600, 450)
    for config in PRESETS.values():
        plain = prepare(image(tmp_path, pixels), config)
        inverted = prepare(
            image(tmp_path, 4095 - pixels, PhotometricInterpretation="MONOCHROME1"), config
        )
        assert np.abs(plain.astype(int) - inverted).max() <= 1


def test_a_right_breast_looks_like_a_left_one(tmp_path: Path) -> None:
    pixels = dicoms.draw(600, 450)
    config = PRESETS["roi-1024x512"]
    left = prepare(image(tmp_path, pixels), config)
    right = prepare(image(tmp_path, np.ascontiguousarray(pixels[:, ::-1])), config)
    assert np.abs(left.astype(int) - right).max() <= 1


@pytest.mark.parametrize(("laterality", "view"), [("L", "CC"), ("R", "MLO")])
@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_the_crop_holds_the_breast_and_little_else(
    tmp_path: Path, laterality: str, view: str, density: float
) -> None:
    pixels = train.phantom.draw(7, (900, 700), laterality=laterality, view=view, density=density)
    read = image(tmp_path, pixels)
    found = locate(read)
    assert found.chest_on_right == (laterality == "R")
    components = flood(pixels[::4, ::4] > pixels.max() * 0.05)
    rows, columns = np.array(max(components, key=len)).T * 4  # not the lead marker
    top, bottom, left, right = crop_sides(PRESETS["roi-1024x512"], found)
    for side, edge, length in (
        (top, rows.min(), 900),
        (bottom, rows.max(), 900),
        (left, columns.min(), 700),
        (right, columns.max(), 700),
    ):
        assert abs(side - edge / length) < 0.05


def flood(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return the pixels of each 4-connected component."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    components = []
    while left:
        stack, found = [left.pop()], []
        while stack:
            row, column = stack.pop()
            found.append((row, column))
            around = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}
            stack += around & left
            left -= around
        components.append(found)
    return components


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 200), np.uint16),
        np.full((300, 200), 4095, np.uint16),
        np.uint16([[5]]),
        np.pad(np.full((3, 3), 4000, np.uint16), 150),
    ],
    ids=["black", "white", "one pixel", "a speck"],
)
@pytest.mark.parametrize("name", PRESETS)
def test_an_image_without_a_breast_is_kept_whole(
    tmp_path: Path, pixels: np.ndarray, name: str
) -> None:
    read = image(tmp_path, pixels)
    found = locate(read)
    assert (found.top, found.bottom, found.left, found.right) == (0, 1, 0, 1)
    assert prepare(read, PRESETS[name]).shape == PRESETS[name].size


def test_a_white_background_is_kept_whole(tmp_path: Path) -> None:
    """A breast darker than its surroundings: the photometric interpretation was wrong."""
    found = locate(image(tmp_path, 4095 - dicoms.draw(600, 450)))
    assert (found.top, found.bottom, found.left, found.right) == (0, 1, 0, 1)


def test_the_aspect_ratio_is_kept_and_the_rest_is_air(tmp_path: Path) -> None:
    pixels = np.zeros((400, 400), np.uint16)
    pixels[100:300, :100] = 3000
    config = PreprocessConfig(size=(200, 200), window="min-max", crop_margin=0)
    shown = prepare(image(tmp_path, pixels), config)
    assert (shown[2:-2, :98] > 250).all()
    assert (shown[:, 105:] == 0).all()


@pytest.mark.parametrize("percentiles", [(0.0, 100.0), (10.0, 90.0)])
def test_percentiles_cut_both_ends(tmp_path: Path, percentiles: tuple[float, float]) -> None:
    ramp = np.arange(1000, dtype=np.uint16).repeat(10).reshape(100, 100)
    config = PreprocessConfig(
        size=(100, 100), window="percentile", percentiles=percentiles, crop="none", flip="none"
    )
    shown = prepare(image(tmp_path, ramp), config).ravel()
    low, high = (int(np.percentile(ramp, percentile)) for percentile in percentiles)
    assert (shown[ramp.ravel() <= low] == 0).all()
    assert (shown[ramp.ravel() >= high + 1] == 255).all()
    assert 0 < shown[5000] < 255


# --- extremes of what was decoded reduced ---


def test_the_ringing_at_a_marker_is_no_maximum(tmp_path: Path) -> None:
    pixels = dicoms.draw(1024, 800) // 2
    pixels[40:120, 600:720] = 3600
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_2000_LOSSLESS)
    reduced = dicom.read(path, (256, 200))
    assert reduced.reduction == 2
    assert reduced.extremes[1] > 3650
    assert extremes.estimate(reduced) == (0, 3600)


def test_a_peak_in_smooth_surroundings_is_a_maximum(tmp_path: Path) -> None:
    pixels = np.full((256, 256), 2000, np.uint16)
    pixels[:8, :8] = 0
    pixels[128:132, 128:132] = 2300
    path = dicoms.write(tmp_path / "a.dcm", pixels, dicoms.JPEG_2000_LOSSLESS)
    reduced = dicom.read(path, (64, 64))
    assert extremes.estimate(reduced)[1] == reduced.extremes[1] > 2100


# --- components ---


@settings(deadline=None)
@given(st.integers(0, 400))
def test_the_largest_component_is_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 40, 2)) < rng.uniform(0.2, 0.8)
    components = flood(mask)
    kept = sorted(map(tuple, np.argwhere(breast._largest_component(mask)).tolist()))
    assert len(kept) == max(map(len, components), default=0)
    assert not kept or kept in [sorted(component) for component in components]


def test_otsu_parts_two_heaps() -> None:
    levels = np.concatenate([np.full(500, 20), np.full(300, 200)]).astype(np.uint8)
    assert 20 <= breast.otsu(levels) < 200
