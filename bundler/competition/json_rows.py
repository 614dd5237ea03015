"""Submissions in JSON, read as rows and written again in the shape that they had.

records      [{"id": "a", "x": 1}, …]
columns      {"id": ["a", …], "x": [1, …]}
numbered     {"id": {"0": "a", …}, "x": {"0": 1, …}}, as pandas writes a frame
objects      {"a": {"x": 1}, …}
answers      {"a": 1, …}, whatever the answer is
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.errors import InputError

Shape = Literal["records", "columns", "numbered", "objects", "answers"]
Record = Mapping[str, object]
NAMING = re.compile(r"(^|[_ ])(id|name|key|file|path)s?$|I[Dd]$", re.IGNORECASE)  # of a column
ID, ANSWER = "id", "answer"  # of a row whose object has no name for them
UNREADABLE = (
    "is neither an object by id nor a list of objects. Write the hidden test by a hook: "
    'hidden = "package.module:function" in [tool.rsna-bundle]'
)


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """What a JSON file holds: its rows, each with all columns, and the shape they came in."""

    shape: Shape
    columns: tuple[str, ...]
    rows: tuple[Record, ...]


def read(path: Path, ids: Sequence[str] = ()) -> JsonRows:
    """Read a file's rows; `ids` are the columns that name a row, where that is known.

    Raises InputError for JSON that is none, that has a key twice, or that holds no rows.
    """

    def unique(items: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in items]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{path.name} has {twice!r} twice.")
        return dict(items)

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as JSON: {error}.") from error
    rows = _rows(content, ids)
    if rows is None:
        raise InputError(f"{path.name} {UNREADABLE}.")
    return rows


def _rows(content: object, ids: Sequence[str]) -> JsonRows | None:
    if isinstance(content, list):
        if not content or not all(isinstance(row, dict) for row in content):
            return None
        # A row may lack what others have; the order is the first row's.
        columns = tuple(dict.fromkeys(name for row in content for name in row))
        filled = tuple({name: row.get(name) for name in columns} for row in content)
        return JsonRows(shape="records", columns=columns, rows=filled)
    if not isinstance(content, dict) or not content:
        return None
    return _columns(content, ids) or _by_id(content, ids)


def _columns(content: Mapping[str, object], ids: Sequence[str]) -> JsonRows | None:
    """Read an object of columns; None where its keys are ids.

    {"a": [1], "b": [2]} could be either: a column of ids tells, by its name.
    """
    named = set(ids) <= set(content) if ids else any(map(NAMING.search, content))
    if not named:
        return None
    names, values = tuple(content), list(content.values())
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) == len(values) and len({len(value) for value in lists}) == 1:
        cells = zip(*lists, strict=True)
        rows = tuple(dict(zip(names, row, strict=True)) for row in cells)
        return JsonRows(shape="columns", columns=names, rows=rows)
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) == len(values) and all(list(one) == list(objects[0]) for one in objects):
        numbers = list(objects[0])
        rows = tuple(dict(zip(names, [o[n] for o in objects], strict=True)) for n in numbers)
        return JsonRows(shape="numbered", columns=names, rows=rows)
    return None


def _by_id(content: Mapping[str, object], ids: Sequence[str]) -> JsonRows:
    key = ids[0] if ids else ID
    objects = [value for value in content.values() if isinstance(value, dict)]
    same = len(objects) == len(content) and len({tuple(one) for one in objects}) == 1
    if same and objects[0] and key not in objects[0]:
        rows = tuple({key: name, **one} for name, one in zip(content, objects, strict=True))
        return JsonRows(shape="objects", columns=(key, *objects[0]), rows=rows)
    answers = tuple({key: name, ANSWER: value} for name, value in content.items())
    return JsonRows(shape="answers", columns=(key, ANSWER), rows=answers)


def write(path: Path, rows: Sequence[Record], like: JsonRows) -> None:
    """Write rows that have the columns of `like`, in its shape."""
    key, *others = like.columns
    content: object
    match like.shape:
        case "records":
            content = list(rows)
        case "columns":
            content = {name: [row[name] for row in rows] for name in like.columns}
        case "numbered":
            content = {
                name: {str(n): row[name] for n, row in enumerate(rows)} for name in like.columns
            }
        case "objects":
            content = {str(row[key]): {name: row[name] for name in others} for row in rows}
        case "answers":
            content = {str(row[key]): row[ANSWER] for row in rows}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def cell(value: object) -> str:
    """Return a value as the text of one cell."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
