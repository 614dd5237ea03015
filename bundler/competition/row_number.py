"""The number of a row, as a column of a table that has no column of ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from bundler.competition import templates
from bundler.competition.columns import Survey
from bundler.competition.table import Row, Table

ROW = "row number"  # the column; its template is {row number}


@dataclass(frozen=True, kw_only=True)
class Numbered(Table):
    """A table whose rows are counted, from the number that the sample submission begins with."""

    source: Table
    first: int

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the file's columns, and the number's."""
        return (*self.source.columns, ROW)

    def positions(self) -> Iterator[tuple[Row, float]]:
        """Yield the rows with their number, and the share of the file that is read."""
        for number, (row, share) in enumerate(self.source.positions(), self.first):
            yield {**row, ROW: str(number)}, share


def number(table: Survey, first: int) -> Table:
    """Return a surveyed table with its rows counted."""
    return Numbered(path=table.table.path, source=table.table, first=first)


def first_number(sample: Survey, column: str) -> int:
    """Return the number of the first row: 0 or 1, as the sample counts."""
    values = sample.values(column)
    return int(values[0]) if values else 0


def counts_rows(test: Survey, train: Survey | None, column: str) -> bool:
    """Say whether a test table's id counts its rows, from any number, and training rows have none.

    What is made of other columns that both tables have is an id of its own.
    """
    if train is None or train.has(column):
        return False
    values = test.values(column)[:100]
    if len(values) < 2 or not values[0].isdecimal():
        return False
    first = int(values[0])
    common = [known.name for known in test.columns if train.has(known.name)]
    is_made = templates.infer(values, test.examples[: len(values)], common, literal=False)
    return values == [str(n) for n in range(first, first + len(values))] and not is_made


def are_numbers(sample: Survey, column: str, test: Survey) -> bool:
    """Say whether the sample's ids count the rows of the test table, from 0 or from 1."""
    values = sample.values(column)[:100]
    counted = any(values == [str(n) for n in range(f, f + len(values))] for f in (0, 1))
    same = sample.rows == test.rows or not (sample.exact and test.exact)
    return counted and len(values) > 1 and same
