"""Read a submission as it lies there: csv, parquet, json or zip; unreadable values are reported."""

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.competition import json_rows, zip_rows
from bundler.competition.dealing import JOINED
from bundler.competition.table import open_table, text
from bundler.errors import InputError

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submission that could be read: its columns, and its rows as they stand in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kinds: Mapping[str, str]  # column → type, of a parquet file

    def ids(self, names: Sequence[str]) -> list[str]:
        """Return the ids in order; the values of several columns are joined."""
        places = [self.columns.index(name) for name in names]
        return [JOINED.join(row[at] for at in places) for row in self.rows]

    def values(self, name: str) -> list[str]:
        """Return a column's values in order."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def answers(self, names: Sequence[str], targets: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return id → values of the targets; the columns must be there."""
        places = [self.columns.index(name) for name in targets]
        pairs = zip(self.ids(names), self.rows, strict=True)
        return {identity: tuple(row[at] for at in places) for identity, row in pairs}


def read(path: Path, names: Sequence[str]) -> Submission:
    """Read a submission whose id columns are `names`. Raises InputError with what is wrong."""
    if path.suffix == ".json":
        return _json(path, names)
    if path.suffix == ".zip":
        return _zip(path, names)
    return _csv(path) if path.suffix in (".csv", ".tsv") else _table(path)


def _csv(path: Path) -> Submission:
    """Read without mercy: no other separator, no other encoding than Kaggle's reader takes."""
    content = path.read_bytes()
    if content.startswith(BOM):
        raise InputError(
            f"{path.name} begins with a byte-order mark, which becomes a part of the first "
            'column\'s name. Write it with encoding="utf-8", not "utf-8-sig".'
        )
    try:
        lines = content.decode("utf-8").splitlines(keepends=True)
        header, *rows = csv.reader(lines, strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as csv: {error}.") from error
    except ValueError as error:
        raise InputError(f"{path.name} is empty.") from error
    rows = [row for row in rows if row]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path.name}, row {number} has {len(row)} cells, the header {len(header)}. Was "
                "the writing interrupted?"
            )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path.name} has the column {twice[0]!r} twice.")
    return Submission(path=path, columns=tuple(header), rows=tuple(map(tuple, rows)), kinds={})


def _table(path: Path) -> Submission:
    """Read a table whose cells have types: parquet, or JSON lines."""
    table = open_table(path)
    rows = tuple(tuple(text(row[name]) for name in table.columns) for row in table.rows())
    kinds = {field.name: str(field.type) for field in table.schema} if table.is_parquet else {}
    return Submission(path=path, columns=table.columns, rows=rows, kinds=kinds)


def _json(path: Path, names: Sequence[str]) -> Submission:
    """Read JSON of any shape that has rows; what is no text stands as its JSON."""
    found = json_rows.read(path, names)
    rows = tuple(tuple(json_rows.cell(row[name]) for name in found.columns) for row in found.rows)
    return Submission(path=path, columns=found.columns, rows=rows, kinds={})


def _zip(path: Path, names: Sequence[str]) -> Submission:
    """Read an archive: of one table, or of a file per id, whose name without suffix is the id."""
    files = zip_rows.members(path)
    if name := zip_rows.table_name(files):
        with tempfile.TemporaryDirectory() as folder:
            return replace(read(zip_rows.extract(path, name, Path(folder)), names), path=path)
    rows = tuple((file.id, file.content) for file in files)
    columns = (names[0] if names else json_rows.ID, zip_rows.FILE)
    return Submission(path=path, columns=columns, rows=rows, kinds={})
