"""Read a submission as it lies there: csv, parquet, json or zip; unreadable values are reported."""

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
    return _parquet(path) if path.suffix == ".parquet" else _csv(path)


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


def _parquet(path: Path) -> Submission:
    table = open_table(path)
    rows = tuple(tuple(text(row[name]) for name in table.columns) for row in table.rows())
    kinds = {field.name: str(field.type) for field in table.schema}
    return Submission(path=path, columns=table.columns, rows=rows, kinds=kinds)


def _json(path: Path, names: Sequence[str]) -> Submission:
    """Read an object of id → answer, or a list of objects, as a table."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in items]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise InputError(f"{path.name} has {twice[0]!r} twice.")
        return dict(items)

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=pairs)
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as JSON: {error}.") from error
    if isinstance(content, dict):
        rows = tuple((key, _compact(value)) for key, value in content.items())
        return Submission(path=path, columns=(*names[:1], "answer"), rows=rows, kinds={})
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        columns = tuple(content[0])
        listed = tuple(tuple(_compact(row.get(name)) for name in columns) for row in content)
        return Submission(path=path, columns=columns, rows=listed, kinds={})
    raise InputError(f"{path.name} is neither an object by id nor a list of objects.")


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _zip(path: Path, names: Sequence[str]) -> Submission:
    """Read an archive of a file per id: the id is the name without suffix, the value its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise InputError(f"{path.name}: its member {broken} is damaged.")
            members = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise InputError(f"{path.name} is no zip archive: {error}.") from error
    rows = tuple((PurePosixPath(m.filename).stem, str(m.file_size)) for m in members)
    return Submission(path=path, columns=(*names[:1], "bytes"), rows=rows, kinds={})
