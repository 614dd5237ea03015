"""Tables of JSON lines: an object per row, streamed; keys may be missing, values may be lists."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bundler.competition.table import Cell, Row, Table
from bundler.errors import InputError

SUFFIXES = (".jsonl", ".ndjson")
LOOKED_AT = 1000  # lines that say which keys there are, and of which kind


class JsonText(str):
    """A list or an object, as its JSON: text wherever a cell is asked for, itself when written."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class JsonLines(Table):
    """A table file of JSON lines; nothing of it is read before `columns` or `rows` is asked for."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the keys of the first objects. Raises InputError."""
        found = tuple(self.kinds)
        if not found:
            raise InputError(f"{self.path} has no object in its lines. Is it complete?")
        return found

    @cached_property
    def kinds(self) -> Mapping[str, type]:
        """Return the type that each key's values have; `object` where they differ."""
        kinds: dict[str, type] = {}
        for found, _ in itertools.islice(self._objects(), LOOKED_AT):
            for name, value in found.items():
                if value is None:
                    kinds.setdefault(name, type(None))
                elif kinds.get(name, type(None)) in (type(None), type(value)):
                    kinds[name] = type(value)
                else:
                    kinds[name] = object
        return kinds

    def positions(self) -> Iterator[tuple[Row, float]]:
        """Yield each row with the share of the file that is read by then; a missing key is None."""
        names = self.columns
        for found, share in self._objects():
            yield {name: _cell(found.get(name)) for name in names}, share

    def write_rows(self, path: Path, rows: Iterable[Mapping[str, Cell]]) -> int:
        """Write rows as JSON lines with this table's keys and types; return how many."""
        count = 0
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            for row in rows:
                line = {name: _value(row.get(name), kind) for name, kind in self.kinds.items()}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                count += 1
        return count

    def _objects(self) -> Iterator[tuple[dict[str, object], float]]:
        size, done = max(self.path.stat().st_size, 1), 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                done += len(line)
                if not line.strip():
                    continue
                try:
                    found = json.loads(line)
                except ValueError as error:
                    raise InputError(f"{self.path}, line {number}: {error}.") from error
                if not isinstance(found, dict):
                    raise InputError(f"{self.path}, line {number} is no JSON object.")
                yield found, done / size


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    return JsonText(json.dumps(value, ensure_ascii=False))


def _value(cell: Cell, kind: type) -> object:
    """Return a cell as JSON has it: an id that became text is a number again."""
    if isinstance(cell, JsonText):
        return json.loads(cell)
    if not isinstance(cell, str) or kind not in (int, float):
        return cell
    if cell == "":
        return None
    try:
        return kind(cell)
    except ValueError:
        return cell
