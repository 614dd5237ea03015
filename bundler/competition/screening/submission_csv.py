"""submission.csv: what would make Kaggle refuse it, and what makes it worthless."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bundler.competition.screening.hidden_test import COLUMNS
from inference.output import digest_of

NAME = "submission.csv"
SHOWN = 5  # ids that a message names
ENOUGH_BREASTS = 6  # fewer may well have one prediction


def problems(path: Path, breasts: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the submission `path`, which must hold each of `breasts` once."""
    if not path.is_file():
        yield f"{path.name} was not written (Submission CSV Not Found on Kaggle)."
        return
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        yield f"{path.name} cannot be read: {error}."
        return
    if columns != list(COLUMNS):
        yield f"Its columns are {columns}, expected are {list(COLUMNS)}.{_index(columns)}"
    if set(COLUMNS) <= set(columns):
        yield from _ids([row["prediction_id"] or "" for row in rows], breasts)
        yield from _values([(row["prediction_id"], row["cancer"] or "") for row in rows])


def digest(path: Path) -> str | None:
    """Return the sha256 of a submission; None where there is none."""
    return digest_of(path.read_bytes()) if path.is_file() else None


def read(path: Path) -> dict[str, float]:
    """Return the predictions of a submission by prediction_id; none where it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return {r["prediction_id"]: float(r["cancer"]) for r in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError, TypeError):
        return {}


def some(names: Sequence[str]) -> str:
    """Return the first few names, for a message."""
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _index(columns: Sequence[str]) -> str:
    extra = [name for name in columns if name not in COLUMNS]
    if any(name == "" or name.startswith("Unnamed") for name in extra):
        return " An unnamed column is pandas' index: write with index=False."
    return ""


def _ids(names: Sequence[str], breasts: Sequence[str]) -> Iterator[str]:
    present, expected = set(names), set(breasts)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        yield f"{len(twice)} prediction_ids occur more than once: {some(twice)}"
    if missing := [name for name in breasts if name not in present]:
        stripped = {name.lstrip("0") for name in present - expected}
        lost = any(name.startswith("0") and name.lstrip("0") in stripped for name in missing)
        why = " Leading zeros were lost: read ids as text." if lost else ""
        yield f"{len(missing)} prediction_ids are missing: {some(missing)}.{why}"
    if unknown := [name for name in names if name not in expected]:
        yield f"{len(unknown)} prediction_ids are not in sample_submission.csv: {some(unknown)}"


def _values(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    values = {}
    for name, text in pairs:
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = math.nan
    if bad := [name for name, value in values.items() if not math.isfinite(value)]:
        yield f"{len(bad)} predictions are not finite numbers: {some(bad)}"
    if bad := [name for name, value in values.items() if not 0 <= value <= 1 and value == value]:
        yield f"{len(bad)} predictions lie outside [0, 1]: {some(bad)}"
    different = set(values.values())
    # All zeros or all ones is what a threshold may well give; any other constant is no answer.
    if len(values) >= ENOUGH_BREASTS and len(different) == 1 and different - {0.0, 1.0}:
        (value,) = different
        yield f"All {len(values)} predictions are {value}: a constant, not a model's output."
