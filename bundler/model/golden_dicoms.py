"""The golden DICOM files: small phantoms, each with one thing that real files have.

They are drawn, not photographed: no patient's image leaves the laptop in a bundle. A few KB each:
the smaller the input that is prepared from one, the more it is reduced, as a mammogram of twenty
megapixels is for an input of one.
"""

import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from inference.boot.card import GoldenDicom
from inference.golden import configs_of, fingerprint
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from train import phantom

SIDES = (96, 80)  # of the phantoms
WHOLE = (112, 112)  # the input for which such a phantom is decoded in full, at any margin
REDUCED = (32, 16)  # the input for which it is not


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a phantom's file is written, and what of real files it stands for.

    `size`: of the input that is prepared from it, None for each model's own. `in_full`: what it
    stands for where every model interpolates, and so decodes in full.
    """

    file: str
    exercises: str
    in_full: str = ""
    syntax: str
    photometric: str = "MONOCHROME2"
    size: tuple[int, int] | None = WHOLE
    signed: bool = False
    voi: str = "LINEAR"
    at_once: bool = False

    @property
    def bits(self) -> int:
        """Return Bits Stored: with a VOI LUT fewer, since it has an entry for each value."""
        return 10 if self.voi == "LUT" else 12


DRAWINGS = (
    Drawing(
        file="golden-jpeg2000.dcm",
        exercises="JPEG 2000",
        syntax=phantom.JPEG_2000_LOSSLESS,
        size=None,
    ),
    Drawing(
        file="golden-jpeg2000-reduced.dcm",
        exercises="JPEG 2000, decoded at a fraction of its size",
        in_full="JPEG 2000, decoded in full and scaled down",
        syntax=phantom.JPEG_2000_LOSSLESS,
        photometric="MONOCHROME1",
        size=REDUCED,
        at_once=True,
    ),
    Drawing(
        file="golden-jpeg-lossless.dcm",
        exercises="JPEG Lossless, by the decoder of long runs",
        syntax=phantom.JPEG_LOSSLESS_SV1,
        photometric="MONOCHROME1",
        at_once=True,
    ),
    Drawing(
        file="golden-jpeg-lossless-reduced.dcm",
        exercises="JPEG Lossless, reduced",
        in_full="JPEG Lossless, decoded in full and scaled down",
        syntax=phantom.JPEG_LOSSLESS_SV1,
        size=REDUCED,
    ),
    Drawing(
        file="golden-signed.dcm",
        exercises="signed pixels",
        syntax=phantom.JPEG_2000_LOSSLESS,
        signed=True,
    ),
    Drawing(
        file="golden-signed-jpeg-lossless.dcm",
        exercises="signed pixels in JPEG Lossless",
        syntax=phantom.JPEG_LOSSLESS_SV1,
        signed=True,
    ),
    Drawing(
        file="golden-sigmoid.dcm",
        exercises="a SIGMOID window",
        syntax=phantom.JPEG_2000_LOSSLESS,
        voi="SIGMOID",
    ),
    Drawing(
        file="golden-lut.dcm",
        exercises="a VOI LUT",
        syntax=phantom.JPEG_2000_LOSSLESS,
        voi="LUT",
    ),
)


def write_dicoms(folder: Path, configs: Mapping[str, PreprocessConfig]) -> tuple[GoldenDicom, ...]:
    """Write the DICOM files, and return the fingerprint of the pixels that each model gets.

    `configs`: a model's file → the preprocessing that it takes. What no model looks at is left out:
    a window where all of them show images from their smallest value to their largest.
    """
    windows = any(config.window == "dicom" for config in configs.values())
    dicoms = []
    for number, drawing in enumerate(DRAWINGS):
        if drawing.voi == "LINEAR" or windows:
            path = folder / drawing.file
            path.write_bytes(draw_dicom(100 + number, drawing))
            dicoms.append(_describe(path, drawing, configs))
    return tuple(dicoms)


def _describe(path: Path, drawing: Drawing, configs: Mapping[str, PreprocessConfig]) -> GoldenDicom:
    """Return a written file's entry in the manifest."""
    reduced = any(config.reduce == "area" for config in configs.values())
    case = GoldenDicom(
        file=path.name,
        prepared={},
        exercises=drawing.exercises if reduced else drawing.in_full or drawing.exercises,
        size=_shrink(drawing.size, configs) if drawing.size == REDUCED else drawing.size,
        at_once=drawing.at_once,
    )
    inputs = load(path, configs_of(case, list(configs.values()))).inputs
    return replace(case, prepared=dict(zip(configs, map(fingerprint, inputs), strict=True)))


def _shrink(size: tuple[int, int], configs: Mapping[str, PreprocessConfig]) -> tuple[int, int]:
    """Return the size at which models that want a larger decode get a reduced one all the same."""
    margin = max(1.0, *(config.decode_margin for config in configs.values()))
    return max(1, int(size[0] / margin)), max(1, int(size[1] / margin))


@functools.cache
def draw_dicom(seed: int, drawing: Drawing, size: tuple[int, int] = SIDES) -> bytes:
    """Return a phantom's DICOM file, [H, W] of `size`."""
    side = "LR"[seed % 2]
    pixels = phantom.draw(seed, size, laterality=side, contrast=(seed % 4) / 4, bits=drawing.bits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.dcm"
        phantom.write_dicom(
            path,
            pixels,
            transfer_syntax=drawing.syntax,
            photometric=drawing.photometric,
            bits=drawing.bits,
            signed=drawing.signed,
            voi=drawing.voi,
            laterality=side,
        )
        return path.read_bytes()
