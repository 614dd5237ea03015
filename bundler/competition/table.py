"""A competition's tables, streamed row by row: csv, parquet and JSON lines, of any size."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import InputError

if TYPE_CHECKING:
    import pyarrow

# What a cell holds: text from a csv file; typed from a parquet file, whose lists pass through.
Cell = str | int | float | bool | bytes | None | Sequence["Cell"]
Row = dict[str, Cell]

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
BATCH = 8192  # rows of a parquet file that are in memory at a time
LONGEST_CELL = 1 << 30  # characters: an essay, a mask's run lengths
INSTALL_PYARROW = "python -m pip install pyarrow"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table file; nothing of it is read before `columns` or `rows` is asked for."""

    path: Path

    @property
    def is_parquet(self) -> bool:
        """Say whether the cells have types."""
        return self.path.suffix == ".parquet"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns. Raises InputError."""
        if self.is_parquet:
            return tuple(self.schema.names)
        with self.path.open("rb") as stream:
            header = next(_reader(self, stream), None)
        if not header or not any(header):
            raise InputError(f"{self.path} has no header line. Is it complete?")
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise InputError(f"{self.path} has the column {twice[0]!r} twice.")
        return tuple(header)

    @cached_property
    def delimiter(self) -> str:
        """Return what separates the cells of a csv file: the commonest separator of line one."""
        with self.path.open("rb") as stream:
            line = stream.readline(1 << 20).decode("utf-8-sig", "surrogateescape")
        return max(",\t;", key=line.count)

    @cached_property
    def schema(self) -> "pyarrow.Schema":
        """Return the types of a parquet file's columns. Raises InputError."""
        from pyarrow import ArrowException, parquet

        try:
            return parquet.read_schema(parquet_part(self.path))
        except (ArrowException, OSError) as error:
            raise InputError(f"{self.path} cannot be read as parquet: {error}.") from error

    def rows(self) -> Iterator[Row]:
        """Yield the rows, one at a time. Raises InputError, naming the line."""
        for row, _ in self.positions():
            yield row

    def positions(self) -> Iterator[tuple[Row, float]]:
        """Yield each row with the share of the file that is read by then, from 0 to 1."""
        return self._parquet_rows() if self.is_parquet else self._csv_rows()

    def write_rows(self, path: Path, rows: "Iterable[Mapping[str, Cell]]") -> int:
        """Write rows to a file like this one; return how many."""
        return (_write_parquet if self.is_parquet else _write_csv)(path, rows, self)

    def _csv_rows(self) -> Iterator[tuple[Row, float]]:
        columns, size = self.columns, max(self.path.stat().st_size, 1)
        with self.path.open("rb") as stream:
            reader = _reader(self, stream)
            next(reader)
            for number in itertools.count(2):
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise InputError(f"{self.path}, row {number}: {error}.") from error
                if cells is None:
                    return
                if not cells:
                    continue  # a blank line
                if len(cells) != len(columns):
                    raise InputError(
                        f"{self.path}, row {number} has {len(cells)} cells, its header "
                        f"{len(columns)}. Is the file complete, and are its quotes closed?"
                    )
                yield dict(zip(columns, cells, strict=True)), stream.tell() / size

    def _parquet_rows(self) -> Iterator[tuple[Row, float]]:
        done, total = 0, max(self.count_parquet(), 1)
        for batch in self.batches():
            for row in batch.to_pylist():
                done += 1
                yield row, done / total

    def batches(self, columns: Sequence[str] | None = None) -> Iterator["pyarrow.RecordBatch"]:
        """Yield a parquet file's rows, some thousands at a time; of these columns, or all."""
        from pyarrow import ArrowException, parquet

        names = None if columns is None else list(columns)
        try:
            for part in parquet_parts(self.path):
                with parquet.ParquetFile(part) as file:
                    yield from file.iter_batches(batch_size=BATCH, columns=names)
        except (ArrowException, OSError) as error:
            raise InputError(f"{self.path} cannot be read as parquet: {error}.") from error

    def count_parquet(self) -> int:
        """Return how many rows a parquet file says it has."""
        from pyarrow import ArrowException, parquet

        try:
            return sum(parquet.read_metadata(part).num_rows for part in parquet_parts(self.path))
        except (ArrowException, OSError) as error:
            raise InputError(f"{self.path} cannot be read as parquet: {error}.") from error


def open_table(path: Path) -> Table:
    """Return the table in a file. Raises InputError where it cannot be read here."""
    if not path.exists():
        raise InputError(
            f"{path} does not exist. Download the competition's files again, or correct the name "
            "in [tool.rsna-bundle.hidden]."
        )
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} is no table: csv, tsv, parquet and JSON lines are read.")
    if path.suffix == ".parquet":
        require_pyarrow(path)
    from bundler.competition import json_lines  # which is a kind of table itself

    is_lines = path.suffix in json_lines.SUFFIXES
    return json_lines.JsonLines(path=path) if is_lines else Table(path=path)


def require_pyarrow(path: Path) -> None:
    """Raise InputError, with the line that installs it, where parquet cannot be read here."""
    try:
        import pyarrow  # noqa: F401 - an optional package, needed for parquet alone
    except ImportError as error:
        raise InputError(
            f"{path} is parquet, and pyarrow is not installed. Run `{INSTALL_PYARROW}` and try "
            "again."
        ) from error


def parquet_parts(path: Path) -> list[Path]:
    """Return the files of a parquet table: itself, or those of its folder."""
    if path.is_file():
        return [path]
    return sorted(part for part in path.rglob("*.parquet") if part.is_file())


def parquet_part(path: Path) -> Path:
    """Return one file of a parquet table. Raises InputError where its folder is empty."""
    if path.is_file():
        return path
    part = next((part for part in path.rglob("*.parquet") if part.is_file()), None)
    if part is None:
        raise InputError(f"{path} is a folder without a parquet file.")
    return part


def text(cell: Cell) -> str:
    """Return a cell as a csv file would have it; "" where it is missing."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    return cell if isinstance(cell, str) else str(cell)


def write(path: Path, rows: Iterable[Mapping[str, Cell]], like: Table) -> int:
    """Write rows with the columns, format and types of the table `like`; return how many.

    Cells that are text become the column's type in parquet; raises InputError where they cannot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return like.write_rows(path, rows)


def _write_csv(path: Path, rows: Iterable[Mapping[str, Cell]], like: Table) -> int:
    count = 0
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream, delimiter=like.delimiter, lineterminator="\n")
        writer.writerow(like.columns)
        for row in rows:
            writer.writerow([text(row.get(name)) for name in like.columns])
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Cell]], like: Table) -> int:
    import pyarrow
    from pyarrow import parquet

    schema, count, source = like.schema, 0, iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(itertools.islice(source, BATCH)):
            count += len(chunk)
            arrays = [
                pyarrow.array([typed(row.get(f.name), f, path) for row in chunk], type=f.type)
                for f in schema
            ]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
    return count


def typed(cell: Cell, field: "pyarrow.Field", path: Path) -> Cell:
    """Return a cell as a column's type: text that was made from an id becomes a number again."""
    from pyarrow import types

    if (
        not isinstance(cell, str)
        or types.is_string(field.type)
        or types.is_large_string(field.type)
    ):
        return cell
    if cell == "":
        return None
    try:
        if types.is_integer(field.type):
            return int(cell)
        if types.is_floating(field.type):
            return float(cell)
    except ValueError as error:
        raise InputError(f"{path}: {cell!r} is no {field.type} for {field.name}.") from error
    if types.is_boolean(field.type):
        return cell in ("True", "true", "1")
    return cell


class _Lines:
    """The lines of a csv file, decoded without loss, whatever bytes they hold."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self.stream = iter(stream)
        self.first = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.stream)
        if self.first:
            self.first = False
            line = line.removeprefix(b"\xef\xbb\xbf")  # a byte-order mark is no part of a name
        return line.decode("utf-8", "surrogateescape")


def _reader(table: Table, stream: Iterable[bytes]) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(_Lines(stream), delimiter=table.delimiter)
