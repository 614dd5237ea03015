"""train.csv: read, and refused where it contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from train.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("site_id", "patient_id", "image_id", "laterality", "view", "cancer", "machine_id")


def read(folder: str | Path) -> pd.DataFrame:
    """Read `folder`/train.csv (a local folder or an fsspec URL), one row per image.

    Adds `prediction_id`; ids are strings, rows sorted by patient and image. Raises DataError.
    """
    import pandas as pd

    path = f"{str(folder).rstrip('/')}/train.csv"
    try:
        table = pd.read_csv(path, dtype={"patient_id": str, "image_id": str})
    except FileNotFoundError as error:
        raise DataError(
            f"There is no {path}. Set data.dir to the competition's folder, the one that holds "
            "train.csv and train_images; `python -m train.phantom` makes one to try with."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a table of comma-separated values: {error}") from error
    check(table, path)
    table["prediction_id"] = table.patient_id + "_" + table.laterality
    return table.sort_values(["patient_id", "image_id"], ignore_index=True)


def check(table: pd.DataFrame, path: str) -> None:
    """Raise DataError where the table cannot be learned from, naming rows."""
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(missing)}. It has {', '.join(table.columns)}. "
            "Is it the competition's train.csv?"
        )
    if table.empty:
        raise DataError(f"{path} has no rows.")
    for column in ("patient_id", "image_id", "laterality"):
        empty = table.index[table[column].isna()]
        if len(empty):
            raise DataError(f"{path} has no {column} in line {empty[0] + 2}.")
    repeated = table.image_id[table.image_id.duplicated()].unique()
    if len(repeated):
        raise DataError(
            f"{path} names {len(repeated)} images more than once, {repeated[0]} for one. "
            "An image in two folds would make validation lie: drop the duplicates."
        )
    odd = table.image_id[~table.cancer.isin([0, 1])]
    if len(odd):
        raise DataError(
            f"{path}: cancer is neither 0 nor 1 for {len(odd)} images, {odd.iloc[0]} for one."
        )
    labels = table.groupby(["patient_id", "laterality"]).cancer.nunique()
    torn = labels[labels > 1]
    if len(torn):
        patient, laterality = torn.index[0]
        raise DataError(
            f"{path} contradicts itself in {len(torn)} breasts: the images of "
            f"{patient}_{laterality} disagree on cancer. A breast has one label; correct the table."
        )


def image_path(folder: str | Path, patient_id: str, image_id: str) -> str:
    """Return the path or URL of a training image below the competition's folder."""
    return f"{str(folder).rstrip('/')}/train_images/{patient_id}/{image_id}.dcm"
