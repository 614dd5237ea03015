"""A sample submission of any format, read as a table and written again for other rows.

csv and parquet are tables themselves; JSON and archives are small, and are held whole.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bundler.competition import json_rows, table, zip_rows
from bundler.competition.json_rows import JsonRows
from bundler.competition.table import Cell, Row, Table, open_table, text
from bundler.competition.zip_rows import FILE, Member
from bundler.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Held(Table):
    """A table that is held whole, of a file that is none by itself."""

    names: tuple[str, ...]
    held: tuple[Row, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return self.names

    def positions(self) -> Iterator[tuple[Row, float]]:
        """Yield each row with the share of the file that is read by then: all of it."""
        return ((row, 1.0) for row in self.held)


def read(path: Path, ids: Sequence[str] = ()) -> Table:
    """Return a sample submission as a table; `ids` are its id columns, where they are known.

    Raises InputError where it is broken, or JSON of a shape that has no rows.
    """
    if not path.exists():
        raise InputError(
            f"{path} does not exist. Download the competition's files again, or correct the name "
            "in [tool.rsna-bundle.hidden]."
        )
    if path.suffix == ".json":
        found = json_rows.read(path, ids)
        rows = tuple({name: _cell(value) for name, value in row.items()} for row in found.rows)
        return Held(path=path, names=found.columns, held=rows)
    if path.suffix == ".zip":
        return _archive(path)
    return open_table(path)


def _archive(path: Path) -> Held:
    files = zip_rows.members(path)
    if not files:
        raise InputError(f"{path} is an empty archive.")
    if name := zip_rows.table_name(files):
        with tempfile.TemporaryDirectory() as folder:
            inner = open_table(zip_rows.extract(path, name, Path(folder)))
            return Held(path=path, names=inner.columns, held=tuple(inner.rows()))
    rows = tuple(Row({json_rows.ID: file.id, FILE: file.content}) for file in files)
    return Held(path=path, names=(json_rows.ID, FILE), held=rows)


def write(path: Path, rows: Iterable[Mapping[str, Cell]], like: Path, ids: Sequence[str]) -> None:
    """Write the rows of another sample submission, in the format of `like`.

    What is no id is as in the first row of `like`. Raises InputError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if like.suffix == ".json":
        found = json_rows.read(like, ids)
        json_rows.write(path, [_typed(row, found) for row in rows], found)
    elif like.suffix == ".zip":
        _write_archive(path, rows, like)
    else:
        table.write(path, rows, open_table(like))


def _write_archive(path: Path, rows: Iterable[Mapping[str, Cell]], like: Path) -> None:
    files: list[Member] = zip_rows.members(like)
    name = zip_rows.table_name(files)
    if not name:
        zip_rows.write_files(path, [text(row[json_rows.ID]) for row in rows], like, files[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        inner = zip_rows.extract(like, name, Path(folder))
        written = Path(folder, "written", inner.name)
        table.write(written, rows, open_table(inner))
        zip_rows.write_table(path, written, name)


def _cell(value: object) -> Cell:
    """Return a JSON value as a cell: a list or an object as its text."""
    plain = value is None or isinstance(value, str | int | float)
    return value if plain else json_rows.cell(value)  # type: ignore[return-value]  # as checked


def _typed(row: Mapping[str, Cell], like: JsonRows) -> dict[str, object]:
    """Return a row's JSON values: an id that became text is a number again."""
    first = like.rows[0]
    return {
        name: first[name] if row[name] == _cell(first[name]) else _as(row[name], first[name])
        for name in like.columns
    }


def _as(value: Cell, like: object) -> object:
    try:
        if isinstance(like, int) and not isinstance(like, bool):
            return int(text(value))
        return float(text(value)) if isinstance(like, float) else value
    except ValueError:  # an id with leading zeros among numbers stays text
        return value
