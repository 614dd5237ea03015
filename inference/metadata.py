"""What a model may get beside the pixels: columns of the test table → numbers.

Shared with training, like the pixels: a column is encoded here and nowhere else. A missing
value has a code of its own, since the hidden test has ages that are missing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

WIDTHS = {"laterality": 1, "view": 3, "age": 2, "implant": 1}
AGE_MEAN, AGE_SPREAD = 58.5, 10.0  # years; of the training set, rounded
VIEWS = ("CC", "MLO")


def width(names: Sequence[str]) -> int:
    """Return how many numbers the columns `names` take."""
    return sum(WIDTHS[name] for name in names)


def encode(row: Mapping[str, object], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return float32 [width(names)] for a row of the table; missing columns are missing values.

    laterality: -1 L, 1 R, 0 missing. view: one-hot of CC, MLO, any other. age: standardised,
    and 1 where it is known (0, 0 where not). implant: 0 or 1, 0 where missing.
    """
    values: list[float] = []
    for name in names:
        values += _ENCODERS[name](str(row.get(name, "") or "").strip())
    return np.array(values, dtype=np.float32)


def _laterality(text: str) -> list[float]:
    return [{"L": -1.0, "R": 1.0}.get(text.upper(), 0.0)]


def _view(text: str) -> list[float]:
    known = [float(text.upper() == view) for view in VIEWS]
    return [*known, float(not any(known))]


def _age(text: str) -> list[float]:
    years = _number(text)
    return [0.0, 0.0] if years is None else [(years - AGE_MEAN) / AGE_SPREAD, 1.0]


def _implant(text: str) -> list[float]:
    return [float(_number(text) == 1.0)]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 200 else None  # NaN compares false: it is missing, too


_ENCODERS = {"laterality": _laterality, "view": _view, "age": _age, "implant": _implant}
