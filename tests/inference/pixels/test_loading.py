"""From a file to the inputs of models."""

import dataclasses
import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import data_store
import numpy as np
import pydicom
import pytest
from PIL import Image

from inference.pixels import decoders, dicom
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig, prepare
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


LOSSLESS = sorted(
    {dicoms.EXPLICIT_LITTLE_ENDIAN}
    | decoders.RLE
    | decoders.JPEG_LOSSLESS
    | decoders.REVERSIBLE
    | {"1.2.840.10008.1.2.4.80"}
)
MARGINS = [dataclasses.replace(preset, decode_margin=2.0) for preset in PRESETS.values()]
CONFIGS = [*PRESETS.values(), *MARGINS, PreprocessConfig(size=(40, 31), crop="none")]


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_the_same_picture_gives_the_same_input_from_every_lossless_syntax(
    bits: int, signed: bool, tmp_path: Path
) -> None:
    """Its edges ring beyond the range of the bits stored, so that a missing clip would show."""
    pixels = dicoms.draw(2311, 1803, bits)
    pixels[300:420, 900:1100] = (1 << bits) - 1  # a marker of lead
    if signed:
        pixels = (pixels.astype(np.int32) - (1 << (bits - 1))).astype(np.int16)
    if bits == 8:
        pixels = pixels.astype("i1" if signed else "u1")
    inputs = {}
    for syntax in LOSSLESS:
        path = dicoms.write(tmp_path / f"{syntax}.dcm", pixels, syntax, bits)
        inputs[syntax] = load(path, CONFIGS).inputs
    first = inputs.pop(dicoms.EXPLICIT_LITTLE_ENDIAN)
    for syntax, others in inputs.items():
        for config, one, other in zip(CONFIGS, first, others, strict=True):
            assert np.array_equal(one, other), (syntax, config)


@pytest.mark.parametrize("precision", [13, 16])
def test_a_stream_of_more_bits_than_stored_is_clipped_to_those_stored(
    precision: int, tmp_path: Path
) -> None:
    pixels = dicoms.draw(1301, 1003, 12)
    pixels[300:420, 400:600] = 4095
    inputs = []
    for syntax in (dicoms.JPEG_2000_LOSSLESS, dicoms.JPEG_LOSSLESS_SV1):
        stream = dicoms.encode(pixels, syntax, precision)
        path = dicoms.write(tmp_path / f"{syntax}.dcm", pixels, syntax, 12, stream)
        assert dicom.read(path, (300, 200)).pixels.max() == 4095
        inputs.append(load(path, CONFIGS).inputs)
    for one, other in zip(*inputs, strict=True):
        assert np.array_equal(one, other)


def test_a_stream_of_fewer_bits_than_stored_is_the_same_picture(tmp_path: Path) -> None:
    pixels = dicoms.draw(1301, 1003, 10)
    pixels[300:420, 400:600] = 1023  # rings beyond ten bits, and not beyond twelve
    narrow = dicoms.encode(pixels, dicoms.JPEG_2000_LOSSLESS, 10)
    one = dicoms.write(tmp_path / "one.dcm", pixels, dicoms.JPEG_2000_LOSSLESS, 12, narrow)
    other = dicoms.write(tmp_path / "other.dcm", pixels, dicoms.JPEG_LOSSLESS_SV1, 12)
    assert "in full: it has 10 bits" in dicom.read(one, (300, 200)).decoder
    for first, second in zip(load(one, CONFIGS).inputs, load(other, CONFIGS).inputs, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tile_size": (512, 512)}, "it has 15 tiles"),
        ({"tile_size": (1403, 2048)}, "it has 2 tiles"),
        ({"offset": (3, 5), "tile_size": (4096, 4096)}, "its image is off the grid's origin"),
        ({"num_resolutions": 1}, "it has 0 levels"),
        ({"quality_layers": [40, 0], "progression": "LRCP"}, "its packets are in another order"),
    ],
)
def test_a_stream_whose_reduced_image_is_another_one_is_decoded_in_full(
    options: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """And it says why: its own reduction would be cheaper, but another picture."""
    pixels = dicoms.draw(2101, 1403, 8).astype(np.uint8)
    pixels[300:420, 400:600] = 255
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", no_jp2=True, **options)
    stream = buffer.getvalue() + b"\0" * (len(buffer.getvalue()) % 2)
    one = dicoms.write(tmp_path / "one.dcm", pixels, dicoms.JPEG_2000_LOSSLESS, 8, stream)
    other = dicoms.write(tmp_path / "other.dcm", pixels, bits=8)
    image = dicom.read(one, (300, 200))
    assert image.reduction == 2
    assert f"in full: {reason}" in image.decoder
    assert image.suspicious == ()
    for first, second in zip(load(one, CONFIGS).inputs, load(other, CONFIGS).inputs, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.skipif(not (shutil.which("dcmcjpeg") or os.environ.get("CI")), reason="needs dcmtk")
@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm"])
def test_a_real_picture_that_dcmtk_compressed_gives_the_same_input(
    name: str, tmp_path: Path
) -> None:
    source = Path(data_store.__file__).parent / "data" / name
    data = pydicom.dcmread(source)
    assert data.file_meta.TransferSyntaxUID == dicoms.EXPLICIT_LITTLE_ENDIAN
    expected = load(source, CONFIGS).inputs
    for tool, option in (
        ("dcmcjpeg", "+e1"),
        ("dcmcjpeg", "+el"),
        ("dcmcjpls", "+el"),
        ("dcmcrle", ""),
    ):
        path = tmp_path / f"{tool}{option}.dcm"
        subprocess.run([tool, *option.split(), source, path], check=True)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID != dicoms.EXPLICIT_LITTLE_ENDIAN
        for one, other in zip(expected, load(path, CONFIGS).inputs, strict=True):
            assert np.array_equal(one, other)
    data.compress(
        dicoms.JPEG_2000_LOSSLESS, encoding_plugin="pylibjpeg", generate_instance_uid=False
    )
    data.save_as(tmp_path / "j2k.dcm")
    for one, other in zip(expected, load(tmp_path / "j2k.dcm", CONFIGS).inputs, strict=True):
        assert np.array_equal(one, other)


def test_a_model_of_version_1_is_served_as_it_was_trained(tmp_path: Path) -> None:
    """Then a JPEG 2000 file gave its own reduced image, any other the full one."""
    old = dataclasses.replace(PRESETS["baseline-512"], version=1)
    pixels = dicoms.draw(2311, 1803)
    paths = [
        dicoms.write(tmp_path / f"{syntax}.dcm", pixels, syntax)
        for syntax in (dicoms.JPEG_2000_LOSSLESS, dicoms.JPEG_LOSSLESS_SV1)
    ]
    view, full = (load(path, [old, PRESETS["baseline-512"]]) for path in paths)
    assert not np.array_equal(view.inputs[0], full.inputs[0])
    assert np.array_equal(view.inputs[1], full.inputs[1])
    image = dicom.read(paths[1])
    assert np.array_equal(full.inputs[0], prepare(image, old))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.dcm") as caught:
        load(tmp_path / "gone.dcm", [PRESETS["baseline-512"]])
    assert caught.value.kind == "missing"
