"""DICOM files for the tests: written with pydicom, encoded with imagecodecs."""

from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from inference.pixels import decoders

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def draw(rows: int, columns: int, bits: int = 12, seed: int = 0) -> np.ndarray:
    """Return uint16 [rows, columns]: a bright half ellipse on the left, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:rows, :columns]
    inside = 1 - ((y - rows * 0.5) / (rows * 0.4)) ** 2 - (x / (columns * 0.7)) ** 2
    tissue = (0.3 + 0.5 * np.sqrt(np.clip(inside, 0, None))) * (inside > 0)
    noise = rng.normal(scale=0.01, size=(rows, columns)) * (inside > 0)
    peak = (1 << bits) - 1
    return np.clip((tissue + noise) * peak, 0, peak).astype(np.uint16)


def encode(pixels: np.ndarray, syntax: str, bits: int) -> bytes:
    """Return one frame, compressed as the transfer syntax says."""
    # JPEG and JPEG-LS know no sign: they take the bits as they are.
    unsigned = pixels.view(pixels.dtype.str.replace("i", "u"))
    if syntax in decoders.JPEG_2000:
        return imagecodecs.jpeg2k_encode(
            pixels, codecformat="j2k", reversible=True, level=0, bitspersample=bits, resolutions=6
        )
    if syntax in decoders.HTJ2K:
        return imagecodecs.htj2k_encode(pixels, reversible=True)
    if syntax in decoders.JPEG_LOSSLESS:
        masked = unsigned & ((1 << bits) - 1)
        return imagecodecs.jpeg8_encode(masked, lossless=True, predictor=1, bitspersample=bits)
    if syntax in decoders.JPEG_BASELINE | decoders.JPEG_EXTENDED:
        return imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=bits)
    if syntax in decoders.JPEG_LS:
        return imagecodecs.jpegls_encode(unsigned)
    if syntax in decoders.RLE:
        return _encode_rle(pixels, bits)
    return pixels.tobytes()


def _encode_rle(pixels: np.ndarray, bits: int) -> bytes:
    return RLELosslessEncoder.encode(
        pixels,
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1,
        bits_allocated=8 * pixels.dtype.itemsize,
        bits_stored=bits,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
        pixel_representation=int(pixels.dtype.kind == "i"),
        encoding_plugin="pydicom",  # GDCM aborts the process here
    )


def write(
    path: Path,
    pixels: np.ndarray,
    syntax: str = EXPLICIT_LITTLE_ENDIAN,
    bits: int = 12,
    stream: bytes | None = None,
    **elements: object,
) -> Path:
    """Write a DICOM of [H, W] pixels; `elements` are set on the data set by keyword."""
    data = Dataset()
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    frame = encode(pixels, syntax, bits) if stream is None else stream
    native = syntax == EXPLICIT_LITTLE_ENDIAN
    data.PixelData = frame if native else encapsulate([frame])
    data["PixelData"].VR = "OW" if native and pixels.dtype.itemsize == 2 else "OB"
    data["PixelData"].is_undefined_length = not native
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.save_as(path, enforce_file_format=True)
    return path
