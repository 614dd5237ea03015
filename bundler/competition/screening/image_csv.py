"""predictions.csv: the probability of each image in a run, before any decision."""

import csv
from collections.abc import Mapping
from pathlib import Path

NAME = "predictions.csv"
Images = Mapping[str, float]  # image id → probability


def read(path: Path) -> Images | None:
    """Return what a run says of each image; None where it says nothing that can be read."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {row["image_id"]: float(row["probability"]) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return None
