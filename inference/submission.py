"""test.csv and probabilities → breasts → submission.csv."""

import csv
import hashlib
import io
import json
import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.boot.fields import plain
from inference.errors import InputError, RunError, UsageError

COLUMNS = ("patient_id", "image_id", "prediction_id")
LONGEST_NUMBER = 24  # bytes: -2.2250738585072014e-308
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


@dataclass(frozen=True, kw_only=True)
class Table:
    """test.csv: one entry an image, in its order, and what tells it from another table."""

    images: tuple[TestImage, ...]
    duplicates: int  # rows of an image that has one already, which count once
    sha256: str


def read_test(competition: Path) -> list[TestImage]:
    """Return the images of test.csv."""
    return list(read_table(competition).images)


def read_table(competition: Path) -> Table:
    """Read test.csv: one entry an image, in its order, ids kept as the text they are."""
    path = competition / "test.csv"
    try:
        content = path.read_bytes()
        stream = io.StringIO(content.decode("utf-8-sig"), newline="")
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path} lacks the column {', '.join(missing)}; it has "
                f"{', '.join(reader.fieldnames or ()) or 'no columns'}. "
                "Is this the competition's folder? Choose it with --competition."
            )
        # The lines that an editor leaves at the end, blank or of commas alone, are no rows.
        rows = [
            _parse_row(row, competition, reader.line_num) for row in reader if not _is_blank(row)
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise InputError(f"{path} has no rows: there is nothing to predict.")
    images: dict[tuple[str, str, str], TestImage] = {}
    for row in rows:
        images.setdefault((row.prediction_id, row.patient_id, row.image_id), row)
    return Table(
        images=tuple(images.values()),
        duplicates=len(rows) - len(images),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _is_blank(row: Mapping[str, object]) -> bool:
    # Cells behind the last column come as a list.
    return all(not (value.strip() if isinstance(value, str) else value) for value in row.values())


def _parse_row(row: dict[str, str], competition: Path, line: int) -> TestImage:
    ids = {name: row.get(name) or "" for name in COLUMNS}
    if not all(ids.values()) or any("/" in ids[name] for name in ("patient_id", "image_id")):
        raise InputError(f"{competition / 'test.csv'}, line {line}: an id is empty or has a slash.")
    image = competition / "test_images" / ids["patient_id"] / f"{ids['image_id']}.dcm"
    return TestImage(path=image, columns={k: v or "" for k, v in row.items() if k}, **ids)


def aggregate(
    images: Sequence[TestImage],
    probabilities: Mapping[int, float],
    aggregation: str,
    suspicious: Collection[int] = (),
) -> dict[str, float | None]:
    """Return each breast's probability from its images'; None where no image could be read.

    `probabilities` maps an image's index to its probability; one that failed is not in it. One
    that is suspicious counts only where its breast has no other.
    """
    sound: dict[str, list[float]] = {image.prediction_id: [] for image in images}
    doubtful: dict[str, list[float]] = {}
    for index, image in enumerate(images):
        if index in probabilities:
            value = probabilities[index]
            if not math.isfinite(value):
                raise RunError(
                    f"The model predicts {value} for the image {image.image_id}. The model is "
                    "broken; nothing was written."
                )
            if index in suspicious:
                doubtful.setdefault(image.prediction_id, []).append(value)
            else:
                sound[image.prediction_id].append(value)
    join = AGGREGATIONS[aggregation]
    of_breast = {breast: values or doubtful.get(breast) for breast, values in sound.items()}
    return {breast: join(values) if values else None for breast, values in of_breast.items()}


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


def csv_size(predictions: Mapping[str, float]) -> int:
    """Return how many bytes submission.csv can have at most, whatever is predicted."""
    return len(csv_text(predictions)) + LONGEST_NUMBER * len(predictions)


def csv_text(predictions: Mapping[str, float]) -> bytes:
    """Return submission.csv: a row a breast."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["prediction_id", "cancer"])
    writer.writerows([breast, _number(value)] for breast, value in predictions.items())
    return text.getvalue().encode()


def _number(value: float) -> str:
    return str(int(value)) if value in (0.0, 1.0) else repr(float(value))


def images_text(images: Sequence[TestImage], probabilities: Mapping[int, float]) -> bytes:
    """Return predictions.csv: each predicted image's probability, before any decision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", "prediction_id", "probability"])
    writer.writerows(
        [image.image_id, image.prediction_id, repr(float(probabilities[index]))]
        for index, image in enumerate(images)
        if index in probabilities
    )
    return text.getvalue().encode()


def json_text(report: object) -> bytes:
    """Return submission.json from its dataclass; NaN is refused."""
    return (json.dumps(plain(report), indent=2, allow_nan=False) + "\n").encode()
