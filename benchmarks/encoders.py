"""One phantom mammogram in each transfer syntax, for benchmarks that compare these."""

import io
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from train.phantom import draw, write_dicom
from train.phantom.dicom import EXPLICIT_LITTLE_ENDIAN

PIXELS = (1303, 1001)


def write(
    name: str, path: Path, seed: int, size: tuple[int, int] = PIXELS, bits: int | None = None
) -> Path:
    """Write a phantom in a syntax and return its path; `bits` where not those usual for it."""
    uid, encode, usual = ENCODERS[name]
    bits = bits or usual
    pixels = draw(seed, size)
    if bits == 8:
        pixels = (pixels >> 4).astype(np.uint8)
    write_dicom(path, pixels.astype(np.uint16), transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    frame = encode(pixels)
    native = uid == EXPLICIT_LITTLE_ENDIAN
    dataset.PixelData = frame if native else encapsulate([frame])
    dataset["PixelData"].VR = "OW" if native else "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _jpeg2k(pixels: np.ndarray, **options: object) -> bytes:
    settings = {"codecformat": "j2k", "reversible": True, "level": 0, "bitspersample": 12}
    return bytes(imagecodecs.jpeg2k_encode(pixels, **(settings | options)))


def _pillow(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000", no_jp2=True, **options)
    return file.getvalue()


def _htj2k(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))


def _jpeg(pixels: np.ndarray, **options: object) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, **options))


def _jpegls(pixels: np.ndarray, **options: object) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels, **options))


def _rle(pixels: np.ndarray) -> bytes:
    return bytes(
        RLELosslessEncoder.encode(
            pixels,
            rows=pixels.shape[0],
            columns=pixels.shape[1],
            samples_per_pixel=1,
            bits_allocated=16,
            bits_stored=12,
            photometric_interpretation="MONOCHROME2",
            number_of_frames=1,
            pixel_representation=0,
            encoding_plugin="pydicom",
        )
    )


ENCODERS: dict[str, tuple[str, Callable[[np.ndarray], bytes], int]] = {
    "JPEG Lossless SV1": (
        "1.2.840.10008.1.2.4.70",
        lambda pixels: _jpeg(pixels, lossless=True, predictor=1, bitspersample=12),
        12,
    ),
    "JPEG Lossless, predictor 6": (
        "1.2.840.10008.1.2.4.57",
        lambda pixels: _jpeg(pixels, lossless=True, predictor=6, bitspersample=12),
        12,
    ),
    "JPEG 2000": ("1.2.840.10008.1.2.4.90", _jpeg2k, 12),
    "JPEG 2000, lossy": (
        "1.2.840.10008.1.2.4.91",
        lambda pixels: _jpeg2k(pixels, reversible=False, level=60),
        12,
    ),
    "JPEG 2000, tiled": (
        "1.2.840.10008.1.2.4.90",
        lambda pixels: _pillow(pixels, tile_size=(512, 512)),
        8,  # Pillow spoils tiles of 16 bits
    ),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", _htj2k, 12),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", _jpegls, 12),
    "JPEG-LS, within 2": (
        "1.2.840.10008.1.2.4.81",
        lambda pixels: _jpegls(pixels, level=2),
        12,
    ),
    "RLE": ("1.2.840.10008.1.2.5", _rle, 12),
    "JPEG baseline": ("1.2.840.10008.1.2.4.50", lambda pixels: _jpeg(pixels, level=95), 8),
    "JPEG extended": (
        "1.2.840.10008.1.2.4.51",
        lambda pixels: _jpeg(pixels, level=95, bitspersample=12),
        12,
    ),
    "uncompressed": (EXPLICIT_LITTLE_ENDIAN, lambda pixels: pixels.tobytes(), 12),
}
