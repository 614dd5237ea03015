"""test.csv and probabilities → breasts → submission.csv."""

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.boot.fields import plain
from inference.errors import InputError, RunError, UsageError

COLUMNS = ("patient_id", "image_id", "prediction_id")
AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {"mean": statistics.fmean, "max": max}


@dataclass(frozen=True, kw_only=True)
class TestImage:
    """One row of test.csv: an image, the breast it belongs to, and all its columns as text."""

    __test__ = False  # no test case of pytest's

    image_id: str
    patient_id: str
    prediction_id: str
    path: Path
    columns: Mapping[str, str]


def read_test(competition: Path) -> list[TestImage]:
    """Read test.csv: one entry an image, in its order, ids kept as the text they are."""
    path = competition / "test.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path} lacks the column {', '.join(missing)}; it has "
                    f"{', '.join(reader.fieldnames or ()) or 'no columns'}. "
                    "Is this the competition's folder? Choose it with --competition."
                )
            rows = [_parse_row(row, competition, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise InputError(f"{path} has no rows: there is nothing to predict.")
    return rows


def _parse_row(row: dict[str, str], competition: Path, line: int) -> TestImage:
    ids = {name: row.get(name) or "" for name in COLUMNS}
    if not all(ids.values()) or any("/" in ids[name] for name in ("patient_id", "image_id")):
        raise InputError(f"{competition / 'test.csv'}, line {line}: an id is empty or has a slash.")
    image = competition / "test_images" / ids["patient_id"] / f"{ids['image_id']}.dcm"
    return TestImage(path=image, columns={k: v or "" for k, v in row.items() if k}, **ids)


def aggregate(
    images: Sequence[TestImage], probabilities: Mapping[int, float], aggregation: str
) -> dict[str, float | None]:
    """Return each breast's probability from its images'; None where no image could be read.

    `probabilities` maps an image's index to its probability; one that failed is not in it.
    """
    breasts: dict[str, list[float]] = {image.prediction_id: [] for image in images}
    for index, image in enumerate(images):
        if index in probabilities:
            value = probabilities[index]
            if not math.isfinite(value):
                raise RunError(
                    f"The model predicts {value} for the image {image.image_id}. The model is "
                    "broken; nothing was written."
                )
            breasts[image.prediction_id].append(value)
    join = AGGREGATIONS[aggregation]
    return {breast: join(values) if values else None for breast, values in breasts.items()}


def decide(
    breasts: Mapping[str, float | None], output: str, threshold: float | None, prevalence: float
) -> tuple[dict[str, float], list[str]]:
    """Return what the submission says of each breast, and the breasts that got a fallback.

    `binary` writes 1 where the probability reaches the threshold, `probability` the number. A
    breast without a readable image gets 0, or the recorded prevalence.
    """
    if output == "binary" and threshold is None:
        raise UsageError(
            "The output is binary, but no threshold is recorded with the model. Export it with "
            '--threshold, or with output = "probability" in the settings.'
        )
    fallbacks = [breast for breast, value in breasts.items() if value is None]
    predictions = {}
    for breast, value in breasts.items():
        if output == "binary":
            predictions[breast] = float(value is not None and value >= float(threshold or 0))
        else:
            predictions[breast] = prevalence if value is None else value
    return predictions, fallbacks


def write_csv(path: Path, predictions: Mapping[str, float]) -> None:
    """Write submission.csv: a row a breast, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["prediction_id", "cancer"])
    writer.writerows([breast, _number(value)] for breast, value in predictions.items())
    write_text(path, text.getvalue())


def _number(value: float) -> str:
    return str(int(value)) if value in (0.0, 1.0) else repr(float(value))


def write_json(path: Path, report: object) -> None:
    """Write submission.json from its dataclass, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(plain(report), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one rename."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written: {error.strerror}.") from error
