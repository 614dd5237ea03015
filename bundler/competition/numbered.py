"""Competitions without ids: a row of the submission is named by the number of its test row.

Inside, a hidden row keeps the number that it has in the training table, so that two runs can be
compared row by row; in the folder that is written rows are numbered anew, by their position, as the
notebook counts them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bundler.competition.dealing import JOINED, Dealt
from bundler.competition.row_number import ROW
from bundler.competition.table import Row


@dataclass(frozen=True, kw_only=True)
class Positions:
    """A hidden test whose rows are numbered by position, and what each of them was before."""

    dealt: tuple[Dealt, ...]
    names: Mapping[str, str]  # number → the id that the row has in every run


def renumber(dealt: Sequence[Dealt], first: int, columns: Sequence[str]) -> Positions:
    """Number the rows of units in their order; labels, ids and `columns` of the number follow."""
    count, names, made = itertools.count(first), dict[str, str](), list[Dealt]()
    for unit in dealt:
        numbers = {_old(row): str(next(count)) for row in unit.rows}
        names |= {new: old for old, new in numbers.items()}
        made.append(
            replace(
                unit,
                rows=tuple(
                    {**row, **dict.fromkeys((ROW, *columns), numbers[_old(row)])}
                    for row in unit.rows
                ),
                ids=tuple((numbers[JOINED.join(name)],) for name in unit.ids),
                labels={numbers[old]: answer for old, answer in unit.labels.items()},
            )
        )
    return Positions(dealt=tuple(made), names=names)


def _old(row: Row) -> str:
    return str(row[ROW])
