"""The awkward cases that a real test set holds, planted in every rehearsal."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIZE = (320, 256)  # small: what is awkward about them is not their size
BROKEN = ("truncated", "missing")
USUAL = ("JPEG Lossless", "JPEG 2000")  # as ordinary images are, but small
RARE_VIEWS = ("AT", "LM", "ML", "LMO")  # a handful of images each in the training set
IMPLICIT, RLE, JPEG_LS = "1.2.840.10008.1.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"
Pixels = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class AwkwardImage:
    """One awkward image: a row of the test table, and what is awkward about it."""

    row: dict[str, str]
    case: str

    @property
    def may_fail(self) -> bool:
        """Say whether it is fine that the image cannot be read."""
        return self.case in (*BROKEN, "blank")


# (breast, case) for each image. Ids with leading zeros look like numbers and are none. A broken
# image has a sound one beside it, from which its breast can be predicted all the same.
CASES: tuple[tuple[str, str], ...] = (
    ("00711_L", "one image in the breast"),
    *(("00711_R", "eight images in the breast") for _ in range(8)),
    ("00712_L", "an unseen machine, and no age"),
    ("00712_R", "MONOCHROME1"),
    ("00713_L", "blank"),
    ("00713_L", "beside a blank image"),
    ("00713_R", "pixels above BitsStored"),
    ("00714_L", "truncated"),
    ("00714_L", "beside a truncated file"),
    ("00714_R", "missing"),
    ("00714_R", "beside a missing file"),
    ("00715_L", "uncompressed, explicit VR"),
    ("00715_L", "uncompressed, implicit VR"),
    ("00715_R", "RLE"),
    ("00715_R", "JPEG-LS"),
    ("00716_L", "JPEG Lossless"),
    ("00716_R", "JPEG 2000"),
    ("00717_L", "an unseen site"),
    ("00717_R", "an implant"),
    *(("00718_L", f"the rare view {view}") for view in RARE_VIEWS),
)
# What a case changes in its row; code may fail on a value that it has not met.
COLUMNS: dict[str, dict[str, str]] = {
    "an unseen machine, and no age": {"machine_id": "9999", "age": ""},
    "an unseen site": {"site_id": "99"},
    "an implant": {"implant": "1"},
    **{f"the rare view {view}": {"view": view} for view in RARE_VIEWS},
}


def plant(images: Path) -> list[AwkwardImage]:
    """Write the images into the folder `images` and return their rows."""
    planted = []
    for number, (breast, case) in enumerate(CASES):
        patient, laterality = breast.split("_")
        row = {
            "site_id": "1",
            "patient_id": patient,
            "image_id": f"{number:010d}",
            "laterality": laterality,
            "view": ("CC", "MLO")[number % 2],
            "age": "57.0",
            "implant": "0",
            "machine_id": "49",
            "prediction_id": breast,
            **COLUMNS.get(case, {}),
        }
        path = images / patient / f"{row['image_id']}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, case, number, laterality)
        planted.append(AwkwardImage(row=row, case=case))
    return planted


def _write(path: Path, case: str, seed: int, laterality: str) -> None:
    from train import phantom
    from train.phantom.dicom import EXPLICIT_LITTLE_ENDIAN as EXPLICIT

    if case == "missing":
        return
    pixels = phantom.draw(seed, SIZE, laterality=laterality)
    syntax, photometric = phantom.JPEG_2000_LOSSLESS, "MONOCHROME2"
    if case == "blank":
        pixels = np.zeros_like(pixels)
    elif case == "MONOCHROME1":
        photometric = "MONOCHROME1"
    elif case == "JPEG Lossless":
        syntax = phantom.JPEG_LOSSLESS_SV1
    elif case == "pixels above BitsStored":
        pixels, syntax = pixels * np.uint16(3), EXPLICIT
    elif case in REWRITTEN or case.startswith("uncompressed"):
        syntax = EXPLICIT
    phantom.write_dicom(
        path, pixels, laterality=laterality, transfer_syntax=syntax, photometric=photometric
    )
    if case in REWRITTEN:
        REWRITTEN[case](path, pixels)
    if case == "truncated":
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])


def _rewrite(path: Path, syntax: str, frame: bytes | None) -> None:
    """Store a frame in an uncompressed file's place, in another transfer syntax."""
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    image = pydicom.dcmread(path)
    image.file_meta.TransferSyntaxUID = UID(syntax)
    if frame is not None:
        image.PixelData = encapsulate([frame])
        image["PixelData"].VR = "OB"
    image.save_as(path, implicit_vr=syntax == IMPLICIT, little_endian=True)


def _as_implicit(path: Path, pixels: Pixels) -> None:
    _rewrite(path, IMPLICIT, None)


def _as_rle(path: Path, pixels: Pixels) -> None:
    import pydicom
    from pydicom.uid import RLELossless

    image = pydicom.dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)


def _as_jpeg_ls(path: Path, pixels: Pixels) -> None:
    import imagecodecs

    _rewrite(path, JPEG_LS, bytes(imagecodecs.jpegls_encode(pixels)))


REWRITTEN: dict[str, Callable[[Path, Pixels], None]] = {
    "uncompressed, implicit VR": _as_implicit,
    "RLE": _as_rle,
    "JPEG-LS": _as_jpeg_ls,
}
