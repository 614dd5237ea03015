"""Draw a phantom competition: which conditions does a spine show? MR series, DICOM, JPEG 2000."""

import argparse
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, MRImageStorage, generate_uid

DATA = Path("data")
CONDITIONS = ("fracture", "stenosis", "tumor")
SIZE, SERIES, SLICES = 96, 2, 4


def draw(present: set[str], rng: np.random.Generator) -> np.ndarray:
    """Return one slice, uint16 [SIZE, SIZE]: vertebrae, the canal behind them, the findings."""
    y, x = np.mgrid[:SIZE, :SIZE] + rng.integers(-4, 5, (2, 1, 1))
    image = 200 + 400 * ((x > 30) & (x < 56) & (y % 16 > 3)) + 800 * ((x > 62) & (x < 70))
    if "fracture" in present:
        image[(x > 30) & (x < 56) & (abs(y - 40) < 7)] = 100
    if "stenosis" in present:
        image[(x > 62) & (x < 70) & (abs(y - 60) < 10)] = 200
    if "tumor" in present:
        image[(x - 42) ** 2 + (y - 72) ** 2 < 60] = 1600
    return (image + rng.integers(0, 100, image.shape)).astype(np.uint16)


def write(path: Path, pixels: np.ndarray, number: int) -> None:
    """Write one slice as a lossless JPEG 2000 DICOM file."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.Modality, image.InstanceNumber = "MR", number
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    stream = imagecodecs.jpeg2k_encode(
        pixels, level=0, codecformat="j2k", reversible=True, bitspersample=12
    )
    image.PixelData = encapsulate([stream])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)


def write_studies(name: str, studies: int, seed: int) -> pd.DataFrame:
    """Write the series of `train` or `test`; return a row for each study and condition."""
    rng = np.random.default_rng(seed)
    rows = []
    for study in rng.choice(10**6, studies, replace=False):
        present = {condition for condition in CONDITIONS if rng.random() < 0.4}
        for series in rng.choice(10**9, SERIES, replace=False):
            for number in range(1, SLICES + 1):
                path = DATA / f"{name}_series" / str(study) / str(series) / f"{number}.dcm"
                write(path, draw(present, rng), number)
        rows += [(f"{study}_{one}", study, one, int(one in present)) for one in CONDITIONS]
    return pd.DataFrame(rows, columns=["row_id", "study_id", "condition", "present"])


def main() -> None:
    """Write train.csv, test.csv with the one study that the public sees, and a sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parquet", action="store_true", help="ask for a submission.parquet")
    options = parser.parse_args()
    write_studies("train", 60, seed=1).to_csv(DATA / "train.csv", index=False)
    test = write_studies("test", 1, seed=2).drop(columns="present")
    test.to_csv(DATA / "test.csv", index=False)
    sample = test[["row_id"]].assign(present=0.5)
    if options.parquet:
        sample.to_parquet(DATA / "sample_submission.parquet", index=False)
    else:
        sample.to_csv(DATA / "sample_submission.csv", index=False)


if __name__ == "__main__":
    main()
