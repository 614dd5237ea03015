"""From a file to the inputs of models."""

from pathlib import Path

import numpy as np
import pytest

from inference.pixels import dicom
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from tests.inference.pixels import dicoms

SYNTAXES = [
    dicoms.EXPLICIT_LITTLE_ENDIAN,
    dicoms.JPEG_2000_LOSSLESS,
    dicoms.JPEG_LOSSLESS_SV1,
]


@pytest.fixture(scope="module", params=SYNTAXES)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = dicoms.draw(1301, 1003)
    return dicoms.write(tmp_path_factory.mktemp("dicom") / "a.dcm", pixels, request.param)


def test_read_gives_the_stored_values(path: Path) -> None:
    assert np.array_equal(dicom.read(path).pixels, dicoms.draw(1301, 1003))


def test_a_reduced_read_is_no_smaller_than_asked(path: Path) -> None:
    image = dicom.read(path, (300, 200))
    rows, columns = image.pixels.shape
    assert rows >= 300
    assert columns >= 200
    if image.transfer_syntax == dicoms.JPEG_2000_LOSSLESS:
        assert image.reduction == 2
        assert image.pixels.shape == (326, 251)
        assert image.bytes_read < path.stat().st_size / 3


def test_inputs_do_not_depend_on_their_company(path: Path) -> None:
    configs = [*PRESETS.values(), PreprocessConfig(size=(64, 48))]
    together = load(path, configs).inputs
    for config, one in zip(configs, together, strict=True):
        alone = load(path, [config]).inputs[0]
        assert one.dtype == np.uint8
        assert one.shape == config.size
        assert np.array_equal(one, alone)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.dcm") as caught:
        load(tmp_path / "gone.dcm", [PRESETS["baseline-512"]])
    assert caught.value.kind == "missing"
