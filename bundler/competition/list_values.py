"""Answers that are lists of numbers in one cell: [0.1, 0.9]."""

import json
import math
from collections.abc import Iterator, Sequence

SHOWN = 3


def parse(value: str) -> tuple[float, ...] | None:
    """Return the numbers of a cell's list, of nested ones in order; None where it is none."""
    if not value.startswith("["):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    flat = list(_flat(found))
    numbers = [n for n in flat if isinstance(n, int | float) and not isinstance(n, bool)]
    return tuple(map(float, numbers)) if len(numbers) == len(flat) else None


def problems(name: str, pairs: Sequence[tuple[str, str]], sample: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a column of (id, list), where the sample's values are all lists."""
    lengths = {len(known) for value in sample if (known := parse(value)) is not None}
    read = {identity: parse(value) for identity, value in pairs}
    broken = [i for i, own in read.items() if not own or not all(map(math.isfinite, own))]
    if broken:
        yield f"{name}: {len(broken)} are no lists of finite numbers: {_some(broken)}"
    if len(lengths) != 1:
        return
    (wanted,) = lengths
    other = [identity for identity, own in read.items() if own and len(own) != wanted]
    if other:
        count = f"{len(other)} lists have another length than the sample's {wanted}"
        yield f"{name}: {count}: {_some(other)}"


def are_lists(values: Sequence[str]) -> bool:
    """Say whether all of a sample's values are lists of numbers."""
    return bool(values) and all(parse(value) for value in values)


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (" …" if len(names) > SHOWN else "")
