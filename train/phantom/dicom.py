"""Pixels → a DICOM file such as a mammography scanner writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def write_dicom(
    path: Path | str,
    pixels: NDArray[np.uint16],
    *,
    transfer_syntax: str = JPEG_2000_LOSSLESS,
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    signed: bool = False,
    voi: str | None = "LINEAR",
    laterality: str = "L",
    view: str = "CC",
    patient_id: str = "0",
    image_id: str = "0",
    machine_id: str = "0",
    age: float | None = None,
) -> None:
    """Write uint16 [H, W] pixels (bright = dense) as a mammography DICOM file.

    With MONOCHROME1 the stored values are inverted, as a scanner's are; `signed` ones lie around
    0, and the rescale intercept brings them back. `voi` is the window's function, LINEAR or
    SIGMOID, spanning what the breast's pixels span; LUT for a table in its place; or None.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, generate_uid
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as MAMMOGRAPHY

    values = pixels if photometric == "MONOCHROME2" else (1 << bits) - 1 - pixels
    lowest = -(1 << (bits - 1)) if signed else 0
    stored = (values.astype(np.int32) + lowest).astype(np.int16 if signed else np.uint16)
    instance = generate_uid(entropy_srcs=[patient_id, image_id, str(stored.shape)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MAMMOGRAPHY
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = UID(transfer_syntax)

    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = MAMMOGRAPHY
    image.SOPInstanceUID = instance
    image.StudyInstanceUID = generate_uid(entropy_srcs=[patient_id])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[patient_id, laterality])
    image.Modality = "MG"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.ManufacturerModelName = f"Phantom {machine_id}"
    image.PatientID = patient_id
    image.InstanceNumber = image_id
    if age is not None:
        image.PatientAge = f"{int(age):03d}Y"
    image.BodyPartExamined = "BREAST"
    image.ImageLaterality = laterality
    image.ViewPosition = view
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = photometric
    image.PresentationLUTShape = "IDENTITY" if photometric == "MONOCHROME2" else "INVERSE"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, bits, bits - 1
    image.PixelRepresentation = int(signed)
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -lowest, 1, "US"
    image.PixelIntensityRelationship = "LOG"
    image.LossyImageCompression = "00"
    if voi == "LUT":
        image.VOILUTSequence = [_table(bits)]
    elif voi is not None:
        image.WindowCenter, image.WindowWidth = _window(values, pixels > 0)
        image.VOILUTFunction = voi
    frame = _encode(stored, transfer_syntax, bits)
    if transfer_syntax == EXPLICIT_LITTLE_ENDIAN:
        image.PixelData = frame
    else:
        image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OW" if transfer_syntax == EXPLICIT_LITTLE_ENDIAN else "OB"
    image.save_as(path, enforce_file_format=True)


def _window(stored: NDArray[np.uint16], breast: NDArray[np.bool_]) -> tuple[int, int]:
    values = stored[breast] if breast.any() else stored.ravel()
    low, high = np.percentile(values[:: max(1, values.size // 100_000)], (0.5, 99.5))
    return round((low + high) / 2), max(2, round(high - low))


def _table(bits: int) -> Dataset:
    """Return an item of the VOI LUT Sequence: a curve far from any straight line."""
    from pydicom.dataset import Dataset

    entries = 1 << min(bits, 15)
    curve = np.sqrt(np.linspace(0, 1, entries)) * ((1 << 12) - 1)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [entries, 0, 12])
    item.add_new("LUTData", "OW", np.rint(curve).astype("<u2").tobytes())
    return item


def _encode(stored: NDArray[np.uint16 | np.int16], transfer_syntax: str, bits: int) -> bytes:
    """Encode [H, W] values losslessly in one of the competition's transfer syntaxes."""
    import imagecodecs

    if transfer_syntax == JPEG_2000_LOSSLESS:
        return bytes(
            imagecodecs.jpeg2k_encode(
                stored, codecformat="j2k", level=0, reversible=True, bitspersample=bits
            )
        )
    if transfer_syntax == JPEG_LOSSLESS_SV1:
        # JPEG knows no sign: it takes the bits as they are.
        masked = stored.view(np.uint16) & ((1 << bits) - 1)
        return bytes(
            imagecodecs.jpeg8_encode(masked, lossless=True, predictor=1, bitspersample=bits)
        )
    if transfer_syntax == EXPLICIT_LITTLE_ENDIAN:
        return stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    raise ValueError(f"The phantom does not write the transfer syntax {transfer_syntax}.")
