"""JSON → dataclasses by their type hints, and back.

A field that is missing, unknown or of a wrong type is an error with its path. A field with a
default may be missing, so that one which a later version adds needs no new format; a reader that
does not know it refuses it by name, since it may change what everything else means.

The notebook's first cell carries this source: the standard library only.
"""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Made = TypeVar("Made")
# What is handed on without being looked into, such as another library's keyword arguments.
Plain = bool | int | float | str | None | Sequence["Plain"] | Mapping[str, "Plain"]
LARGEST_INT = 1 << 53  # beyond it a float holds another number
# Metadata of a field that came later: it is left out where it holds its default, so that equal
# content keeps its digest and an older version reads what it can read.
ADDED = {"added": True}
DEEPEST = 8  # archives within archives; an upload unpacks one or two levels


class Malformed(ValueError):
    """A field is not what it should be: its path in the manifest, and what is wrong with it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"the field {where} {problem}" if where else problem)


def plain(value: Any) -> Any:
    """Return a dataclass as JSON's types; fields that may be missing and hold nothing are.

    So are fields of later versions (`ADDED`) that hold their default.
    """
    if is_dataclass(value):
        pairs = ((one, getattr(value, one.name)) for one in fields(value))
        return {
            one.name: plain(held)
            for one, held in pairs
            if _is_required(one) or not _is_left_out(one, held)
        }
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _is_left_out(one: Any, held: object) -> bool:
    """Say whether a field that may be missing is not written."""
    return held in (None, (), {}) or (bool(one.metadata.get("added")) and held == one.default)


def load_json(content: str | bytes) -> object:
    """Return the value of a JSON text. Raises ValueError; NaN and infinity are refused, too."""
    try:
        value: object = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")


def parse_as(wanted: type[Made], value: object, where: str = "") -> Made:
    """Return JSON's value as `wanted`, a dataclass or another type. Raises Malformed.

    `where` is the path of the value, for messages.
    """
    made: Made = _parse(wanted, value, where)
    return made


@functools.cache
def _hints(wanted: type) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Return a dataclass's type hints, and the names of the fields that may not be missing."""
    required = frozenset(one.name for one in fields(wanted) if _is_required(one))
    resolved = get_type_hints(wanted)
    # A hint is resolved only where it is a text: `Plain` would become an unfolded copy of itself.
    hints = {
        one.name: resolved[one.name] if isinstance(one.type, str) else one.type
        for one in fields(wanted)
    }
    return hints, required


def _is_required(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _parse(wanted: Any, value: object, where: str) -> Any:
    """Return a value of JSON as the type that a hint names."""
    if wanted is Plain:
        return _parse_handed_on(value, where)
    origin = get_origin(wanted)
    if is_dataclass(wanted):
        return _parse_fields(wanted, value, where)
    if origin in (Union, UnionType):
        return _parse_union(get_args(wanted), value, where)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(wanted):
            choices = ", ".join(get_args(wanted))
            raise Malformed(where, f"is {_shown(value)}, none of {choices}")
        return value
    if origin is tuple:
        return _parse_tuple(get_args(wanted), value, where)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise Malformed(where, f"is {_shown(value)}, not an object")
        return {
            key: _parse(get_args(wanted)[1], item, f"{where}.{key}") for key, item in value.items()
        }
    return _parse_plain(wanted, value, where)


def _parse_handed_on(value: object, where: str) -> Plain:
    """Return a value of any of JSON's types; NaN was refused when the text was read."""
    if where.count(".") > DEEPEST:
        raise Malformed(where, "is nested too deeply")
    if isinstance(value, dict):
        return {key: _parse_handed_on(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_parse_handed_on(item, f"{where}.{index}") for index, item in enumerate(value)]
    return _parse_plain(type(value), value, where) if value is not None else None


def _parse_fields(wanted: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise Malformed(where, f"is {_shown(value)}, not an object")
    if where.count(".members[") > DEEPEST:
        raise Malformed(where, "is nested too deeply")
    hints, required = _hints(wanted)
    start = f"{where}." if where else ""
    for name in sorted(required - value.keys()):
        raise Malformed(start + name, "is missing")
    for name in sorted(value.keys() - hints.keys()):
        raise Malformed(start + name, "is not known to this version")
    values = {name: _parse(hints[name], item, start + name) for name, item in value.items()}
    try:
        return wanted(**values)
    except Malformed:
        raise
    except ValueError as error:  # of __post_init__, which does not know where it is
        raise Malformed(where, f"is wrong: {error}") from error


def _parse_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and NoneType in options:
        return None
    others = [option for option in options if option is not NoneType]
    for option in others[:-1]:
        try:
            return _parse(option, value, where)
        except Malformed:
            continue
    return _parse(others[-1], value, where)


def _parse_tuple(items: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Malformed(where, f"is {_shown(value)}, not a list")
    if items[-1] is Ellipsis:
        return tuple(_parse(items[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(items):
        raise Malformed(where, f"has {len(value)} items, not {len(items)}")
    pairs = enumerate(zip(items, value, strict=True))
    return tuple(_parse(wanted, item, f"{where}[{i}]") for i, (wanted, item) in pairs)


def _parse_plain(wanted: Any, value: object, where: str) -> Any:
    """Return a str, bool, int or float; an int serves as a float, a bool never as a number."""
    if wanted is float and type(value) is int and abs(value) <= LARGEST_INT:
        value = float(value)
    if type(value) is not wanted:
        raise Malformed(where, f"is {_shown(value)}, not {wanted.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(where, f"is {value}, not a finite number")
    return value


def _shown(value: object) -> str:
    """Return a value for a message, which a hostile manifest must not flood."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 63 else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}…"
