"""The table beside the image: which of its columns a model may ask for, and as what numbers.

A column is a name whose cell is a number (`age`, `implant`), or `name=value`, which is 1 where
the cell is that value and 0 elsewhere (`view=CC`). Only columns of the hidden test's table are
allowed. A missing number is NaN; the network knows how to take it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from train.errors import ConfigError

NUMBERS = ("age", "implant")
CHOICES = ("view", "laterality", "site_id")


def check(columns: Sequence[str]) -> None:
    """Raise ConfigError for a column that the hidden test's table does not have."""
    for column in columns:
        name, _, value = column.partition("=")
        if not (name in CHOICES and value) and column not in NUMBERS:
            raise ConfigError(
                f"model.metadata: {column!r} is none of {', '.join(NUMBERS)}, or one of "
                f"{', '.join(CHOICES)} with a value as in 'view=CC'. A model may ask only for "
                "what test.csv holds."
            )


def encode(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> NDArray[np.float32]:
    """Return the columns of table rows as float32 [N, K], NaN where a number is missing."""
    check(columns)
    numbers = [[_number(row, column) for column in columns] for row in rows]
    return np.array(numbers, np.float32).reshape(len(numbers), len(columns))


def _number(row: Mapping[str, object], column: str) -> float:
    name, _, value = column.partition("=")
    cell = row[name]
    if value:
        return float(str(cell) == value)
    return float("nan") if cell is None or cell == "" else float(str(cell))
