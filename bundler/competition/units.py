"""Choose the units of a hidden test: always the same ones, and few of them among many."""

import hashlib
import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bundler.competition.columns import EMPTY, Survey
from bundler.competition.table import Row, Table, text

MOST_CANDIDATES = 400  # units whose rows are kept in memory for the sake of rare categories
MOST_ROWS = 200_000  # kept in memory, of all units together


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The rows of one patient, study or other unit, as its table has them."""

    value: str
    rows: tuple[Row, ...]


def choose(
    table: Table,
    column: str,
    count: int,
    *,
    categories: Sequence[str] = (),
    seed: int = 0,
    usable: Callable[[Row], bool] = lambda row: True,
) -> list[Unit]:
    """Return `count` units of a table, or all there are; it is read twice, never kept.

    First come units that show each value of the columns `categories`, then others by a hash of
    their name. So a larger count returns the same units first, and other seeds return others.
    `usable` is asked about a unit's first row before it is taken.
    """
    showing, others = _candidates(table, column, count, categories, seed, usable)
    wanted = {*showing, *others}
    rows = _rows(table, column, wanted)
    order = [*_cover(rows, showing, categories), *others]
    return [Unit(value=name, rows=tuple(rows[name])) for name in dict.fromkeys(order)][:count]


def rank(value: str, seed: int) -> int:
    """Return a number that orders units as if at random, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}\0{value}".encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def categories(survey: Survey, left_out: Collection[str]) -> list[str]:
    """Return the columns whose every value should occur."""
    return [c.name for c in survey.columns if c.is_category and c.name not in left_out]


def _candidates(
    table: Table,
    column: str,
    count: int,
    names: Sequence[str],
    seed: int,
    usable: Callable[[Row], bool],
) -> tuple[list[str], list[str]]:
    """Return the units that show a category's value first, and the `count` with the lowest rank."""
    showing: dict[tuple[str, str], tuple[int, str]] = {}
    lowest: list[tuple[int, str]] = []  # a heap of negated ranks: its first is the worst
    kept, known = set[str](), dict[str, bool]()
    last, number = "", 0
    for row in table.rows():
        value = text(row[column])
        if value != last:  # rows of a unit mostly follow each other
            last, number = value, rank(value, seed)
        rarer = [
            key
            for name in names
            if (key := (name, text(row[name]))) not in showing or number < showing[key][0]
        ]
        low = value not in kept and (len(lowest) < count or -number > lowest[0][0])
        if value in EMPTY or not (rarer or low):
            continue
        # Asked for the few that would be taken: it looks at the disk.
        if value not in known:
            known[value] = usable(row)
        if not known[value]:
            continue
        showing |= dict.fromkeys(rarer, (number, value))
        if low:
            kept.add(value)
            heapq.heappush(lowest, (-number, value))
            if len(lowest) > count:
                kept.discard(heapq.heappop(lowest)[1])
    rare = [value for _, value in sorted(set(showing.values()))][:MOST_CANDIDATES]
    return rare, [value for _, value in sorted(lowest, reverse=True)]


def _rows(table: Table, column: str, wanted: Collection[str]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {value: [] for value in wanted}
    total = 0
    for row in table.rows():
        own = rows.get(text(row[column]))
        if own is not None and total < MOST_ROWS:
            own.append(row)
            total += 1
    return rows


def _cover(
    rows: Mapping[str, Sequence[Row]], candidates: Iterable[str], names: Sequence[str]
) -> list[str]:
    """Return as few of the candidates as show all values that they have, the richest first."""
    shown = {
        value: {(name, text(row[name])) for row in rows[value] for name in names}
        for value in candidates
    }
    missing, order = set().union(*shown.values()) if shown else set(), list[str]()
    while missing:
        best = max(shown, key=lambda value: (len(shown[value] & missing), -len(order), value))
        if not shown[best] & missing:
            break
        order.append(best)
        missing -= shown.pop(best)
    return order
