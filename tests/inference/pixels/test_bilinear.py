"""Bilinear reduction, compared with OpenCV itself."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.boot.card import Preprocess
from inference.boot.fields import parse_as, plain
from inference.pixels import area, bilinear, loading
from inference.pixels.preprocess import PRESETS
from tests.inference.pixels import dicoms

SIZES = [((97, 61), (32, 32)), ((64, 64), (64, 64)), ((20, 30), (50, 45)), ((1, 9), (4, 3))]


@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_is_opencvs(shape: tuple[int, int], size: tuple[int, int], dtype: type) -> None:
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    expected = cv2.resize(values.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(bilinear.resize(values, size) - expected).max() < 1e-2
    if size != shape and min(shape) > 1:  # which a reduction by area is not
        assert np.abs(area.resize(values, size) - expected).max() > 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_preset_is_the_first_baselines_way(photometric: str, tmp_path: Path) -> None:
    """Also from a file that holds a smaller image of itself, which is not taken."""
    pixels = np.random.default_rng(1).integers(300, 3000, (1300, 1100)).astype(np.uint16)
    path = dicoms.write(
        tmp_path / "a.dcm", pixels, dicoms.JPEG_2000_LOSSLESS, PhotometricInterpretation=photometric
    )
    served = loading.load(path, [PRESETS["bilinear-512"], PRESETS["baseline-512"]]).inputs
    shown = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    if photometric == "MONOCHROME1":
        shown = 1 - shown
    trained = cv2.resize(shown.astype(np.float32), (512, 512)) * 255
    off = served[0].astype(int) - np.round(trained).astype(int)
    assert np.abs(off).max() <= 1  # where a half is rounded, one way or the other
    assert np.count_nonzero(off) < off.size / 1000
    # Those that cut the fraction off, or resize bytes, are within two levels.
    bytes_first = cv2.resize((shown * 255).astype(np.uint8), (512, 512)).astype(int)
    for other in (trained.astype(np.uint8).astype(int), bytes_first):
        assert np.abs(served[0].astype(int) - other).max() <= 2
    assert np.abs(served[1].astype(int) - np.round(trained)).mean() > 5  # by area: another picture


def test_a_manifest_of_before_is_reduced_by_area() -> None:
    written = {"version": 2, "size": [512, 512]}
    assert parse_as(Preprocess, written).reduce == "area"
    assert plain(PRESETS["bilinear-512"])["reduce"] == "bilinear"
