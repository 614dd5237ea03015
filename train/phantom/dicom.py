"""Pixels → a DICOM file such as a mammography scanner writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    voi: str | None = "LINEAR",
    laterality: str = "L",
    view: str = "CC",
    patient_id: str = "0",
    image_id: str = "0",
    machine_id: str = "0",
    age: float | None = None,
) -> None:
    """Write uint16 [H, W] pixels (bright = dense) as a mammography DICOM file.

    With MONOCHROME1 the stored values are inverted, as a scanner's are. The window, where
    there is one, spans what the breast's pixels span.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, generate_uid
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as MAMMOGRAPHY

    stored = pixels if photometric == "MONOCHROME2" else (1 << bits) - 1 - pixels
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
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PixelIntensityRelationship = "LOG"
    image.LossyImageCompression = "00"
    if voi is not None:
        image.WindowCenter, image.WindowWidth = _window(stored, pixels > 0)
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


def _encode(stored: NDArray[np.uint16], transfer_syntax: str, bits: int) -> bytes:
    """Encode uint16 [H, W] losslessly in one of the competition's transfer syntaxes."""
    import imagecodecs

    if transfer_syntax == JPEG_2000_LOSSLESS:
        return bytes(
            imagecodecs.jpeg2k_encode(
                stored, codecformat="j2k", level=0, reversible=True, bitspersample=bits
            )
        )
    if transfer_syntax == JPEG_LOSSLESS_SV1:
        return bytes(
            imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1, bitspersample=bits)
        )
    if transfer_syntax == EXPLICIT_LITTLE_ENDIAN:
        return stored.astype("<u2").tobytes()
    raise ValueError(f"The phantom does not write the transfer syntax {transfer_syntax}.")
