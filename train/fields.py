"""The fields of a file that somebody else wrote, each taken as the type that it must have.

What is of another type is a `FieldError` that names the field; who reads the file adds which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inference.boot.fields import Plain


class FieldError(Exception):
    """A field holds something other than it should."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        shown = repr(value) if isinstance(value, (bool, int, float, str)) else ""
        held = shown[:60] or f"a value of type {type(value).__name__}"
        super().__init__(f"the field {name} holds {held}, not {wanted}")


def text(name: str, value: object) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise FieldError(name, value, "text")
    return value


def text_or_none(name: str, value: object) -> str | None:
    """Return text, or None."""
    return None if value is None else text(name, value)


def texts(name: str, value: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple."""
    if not isinstance(value, (list, tuple)):
        raise FieldError(name, value, "a list of texts")
    return tuple(text(f"{name}[{index}]", item) for index, item in enumerate(value))


def number(name: str, value: object) -> float:
    """Return a number as a float."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise FieldError(name, value, "a number")
    return float(value)


def number_or_none(name: str, value: object) -> float | None:
    """Return a number as a float, or None."""
    return None if value is None else number(name, value)


def whole_or_none(name: str, value: object) -> int | None:
    """Return a whole number, or None; True is none."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise FieldError(name, value, "a whole number or None")
    return value


def flag_or_none(name: str, value: object) -> bool | None:
    """Return True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise FieldError(name, value, "True, False or None")
    return value


def mapping(name: str, value: object) -> Mapping[str, Plain]:
    """Return a dict whose keys are names."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise FieldError(name, value, "a dict with names as keys")
    return value


def numbers(name: str, value: object) -> tuple[float, ...]:
    """Return one number, or one for each channel, as a tuple."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(number(name, item) for item in items)


def items(name: str, value: object) -> Sequence[object]:
    """Return a list's items."""
    if not isinstance(value, (list, tuple)):
        raise FieldError(name, value, "a list")
    return value


def whole(name: str, value: object) -> int:
    """Return a whole number; True is none."""
    number = whole_or_none(name, value)
    if number is None:
        raise FieldError(name, value, "a whole number")
    return number
