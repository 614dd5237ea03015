"""What the columns of a table hold: kinds, categories, ids; learned from its first rows."""

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bundler.competition.json_lines import JsonText
from bundler.competition.table import Cell, Row, Table, text

Kind = Literal["integer", "number", "boolean", "run lengths", "text", "list", "empty"]

ROWS_READ = 200_000  # of a table, to say what its columns hold; all further rows are not read
KEPT = 400  # rows that are kept as examples: the first half of them and a random half
MOST_CATEGORIES = 50  # a column with more different values is no category
EMPTY = frozenset({"", "nan", "NaN", "NA", "N/A", "null", "None"})
INTEGER = re.compile(r"[+-]?\d{1,300}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
RUN_LENGTHS = re.compile(r"\d+ \d+( \d+ \d+)*")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is known of one column, by the rows that were read."""

    name: str
    kind: Kind
    rows: int
    missing: int
    distinct: int
    values: tuple[str, ...]  # all of them where they are few, else ()
    low: float | None = None
    high: float | None = None
    leading_zeros: bool = False
    longest: int = 0
    hashes: frozenset[int] = field(default=frozenset(), repr=False, compare=False)

    def holds(self, value: str) -> bool:
        """Say whether a row that was read has this value."""
        return hash(value) in self.hashes

    @property
    def is_unique(self) -> bool:
        """Say whether each row has a value of its own."""
        return self.rows > 0 and self.distinct == self.rows and not self.missing

    @property
    def is_category(self) -> bool:
        """Say whether a few values recur; a number with fractions or a mask is no category."""
        plain = self.kind in ("integer", "boolean", "text")
        return plain and 0 < self.distinct <= MOST_CATEGORIES and self.distinct < self.rows


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a table's first rows say of it."""

    table: Table
    columns: tuple[Column, ...]
    rows: int  # counted where the table was read whole, else estimated
    exact: bool
    examples: tuple[Row, ...]

    def column(self, name: str) -> Column:
        """Return a column by its name, which must be there."""
        return next(column for column in self.columns if column.name == name)

    def has(self, name: str) -> bool:
        """Say whether there is a column of that name."""
        return any(column.name == name for column in self.columns)

    def values(self, name: str) -> list[str]:
        """Return the examples' values of a column, in order, without those that are missing."""
        found = (text(row[name]) for row in self.examples)
        return [value for value in found if value not in EMPTY]


def survey(table: Table, limit: int = ROWS_READ) -> Survey:
    """Read at most `limit` rows of a table, and say what its columns hold. Raises InputError."""
    tallies = {name: _Tally(name) for name in table.columns}
    first, later, count, share = list[Row](), _Reservoir(KEPT // 2), 0, 0.0
    positions = table.positions()
    for count, (row, share) in enumerate(itertools.islice(positions, limit), 1):  # noqa: B007
        for name, cell in row.items():
            tallies[name].add(cell)
        if len(first) < KEPT // 2:
            first.append(row)
        else:
            later.add(row)
    exact = next(positions, None) is None
    return Survey(
        table=table,
        columns=tuple(tally.column() for tally in tallies.values()),
        # What is behind the limit is not read: its rows are taken to be as long as those before.
        rows=count if exact else round(count / share),
        exact=exact,
        examples=(*first, *later.kept),
    )


class _Reservoir:
    """A random choice of rows, each as likely as another; always the same for the same table."""

    def __init__(self, size: int) -> None:
        self.size, self.seen, self.kept = size, 0, list[Row]()
        self.random = random.Random(0)

    def add(self, row: Row) -> None:
        self.seen += 1
        if len(self.kept) < self.size:
            self.kept.append(row)
        elif (place := self.random.randrange(self.seen)) < self.size:
            self.kept[place] = row


class _Tally:
    """The values of one column, counted as they come."""

    def __init__(self, name: str) -> None:
        self.name, self.rows, self.missing, self.longest = name, 0, 0, 0
        self.kinds: set[Kind] = set()
        # Hashes, not the values: of 200,000 essays nothing but these stays in memory.
        self.hashes: set[int] = set()
        self.values: dict[str, None] = {}
        self.low, self.high = float("inf"), float("-inf")
        self.zeros = False

    def add(self, cell: Cell) -> None:
        self.rows += 1
        if isinstance(cell, list | tuple | bytes | dict):
            self.kinds.add("list")
            self.hashes.add(self.rows)
            return
        value = text(cell)
        if value in EMPTY:
            self.missing += 1
            return
        self.kinds.add(kind_of(cell))
        self.hashes.add(hash(value))
        self.longest = max(self.longest, len(value))
        if len(self.values) <= MOST_CATEGORIES:
            self.values[value] = None
        self.zeros = self.zeros or has_leading_zero(value)
        if self.kinds <= {"integer", "number"}:
            number = float(value)
            self.low, self.high = min(self.low, number), max(self.high, number)

    def column(self) -> Column:
        """Return what was learned."""
        kind = _common(self.kinds)
        numeric = kind in ("integer", "number") and self.low <= self.high
        few = len(self.values) <= MOST_CATEGORIES and kind != "list"
        return Column(
            name=self.name,
            kind=kind,
            rows=self.rows,
            missing=self.missing,
            distinct=len(self.hashes),
            values=tuple(self.values) if few else (),
            low=self.low if numeric else None,
            high=self.high if numeric else None,
            leading_zeros=self.zeros and "number" not in self.kinds,
            longest=self.longest,
            hashes=frozenset(self.hashes),
        )


def kind_of(cell: Cell) -> Kind:
    """Return the kind of one value that is not missing."""
    if isinstance(cell, bool):
        return "boolean"
    if isinstance(cell, int):
        return "integer"
    if isinstance(cell, float):
        return "number"
    if not isinstance(cell, str) or isinstance(cell, JsonText):
        return "list"
    if INTEGER.fullmatch(cell):
        return "integer"
    if NUMBER.fullmatch(cell):
        return "number"
    if cell in ("True", "False", "true", "false", "TRUE", "FALSE"):
        return "boolean"
    return "run lengths" if RUN_LENGTHS.fullmatch(cell) else "text"


def has_leading_zero(value: str) -> bool:
    """Say whether a value of digits would lose a zero if it were read as a number."""
    return len(value) > 1 and value[0] == "0" and value.isdigit()


def _common(kinds: set[Kind]) -> Kind:
    """Return the one kind that includes all those seen."""
    if not kinds:
        return "empty"
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds <= {"integer", "number"}:
        return "number"
    return "text"


def group(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows by their values of some columns, in order of first appearance."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row, names), []).append(row)
    return groups


def key(row: Mapping[str, Cell], names: Sequence[str]) -> tuple[str, ...]:
    """Return a row's values of some columns, as text."""
    return tuple(text(row[name]) for name in names)
