"""What else of a competition's folder the notebook may see: nothing that answers hidden rows."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.competition import copies, templates
from bundler.competition import table as tables
from bundler.competition.profile import Profile
from bundler.competition.row_ids import UNIT, WithUnit
from bundler.competition.row_number import ROW
from bundler.competition.table import SUFFIXES, Cell, Table, open_table, text

MOST_FILES = 20_000  # training files that are linked; more would take longer than the rehearsal
LARGEST_TABLE = 2 << 30  # bytes of a training table that is copied without the hidden rows
MOST_SCANNED = 64 << 20  # bytes of a file that is searched for ids of hidden rows
DISTINCTIVE = 5  # characters of an id that would not stand in a file by chance
LONG_TEXT = 1000  # characters: an essay is not searched for words
NOTHING: frozenset[str] = frozenset()
TOKEN = re.compile(r"[^A-Za-z0-9.]+")
SHARE = 0.9  # of the hidden ids that a column must hold to be a column of ids


@dataclass(frozen=True, kw_only=True)
class Secret:
    """The rows that became the hidden test, by the values that name them."""

    values: Mapping[str, frozenset[str]]  # column → values

    @property
    def all(self) -> frozenset[str]:
        """Return the values of all columns."""
        # A number of a row stands in any file by chance.
        named = [own for column, own in self.values.items() if column != ROW]
        return frozenset(value for own in named for value in own)

    @property
    def distinctive(self) -> frozenset[str]:
        """Return the values that are long enough to be recognised anywhere."""
        return frozenset(v for v in self.all if len(v) >= DISTINCTIVE and not v.isalpha())

    def names(self, text: str) -> bool:
        """Say whether a file's name has one of the values in it."""
        parts = TOKEN.split(text)
        stems = [part.partition(".")[0] for part in parts]
        return not self.distinctive.isdisjoint([text, Path(text).stem, *parts, *stems]) or any(
            value in text for value in self.distinctive if "_" in value or "-" in value
        )


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """Puts what is public beside the hidden test; `written` are names that it has already."""

    profile: Profile
    secret: Secret
    folder: Path
    written: frozenset[str]

    def write(self) -> tuple[str, ...]:
        """Write tables without the hidden rows, link other files; return what was left out."""
        left_out, room = list[str](), MOST_FILES
        for entry in sorted(os.scandir(self.profile.folder), key=lambda e: e.name):
            if entry.name in self.written or entry.name.startswith("."):
                continue
            if entry.is_dir():
                paths, reasons = self._public_files(entry.name, room)
                room -= len(paths)
                left_out += [*reasons, *(note for path in paths for note in self._link(path))]
            elif entry.name.endswith(SUFFIXES):
                left_out += self._table(entry.name)
            else:
                left_out += self._file(entry.name)
        return tuple(left_out)

    # --- tables ---

    def _table(self, name: str) -> Iterator[str]:
        """Copy a table without the rows that name a hidden unit, in whichever column."""
        source, hidden = open_table(self.profile.folder / name), self.profile.hidden
        if ROW in self.secret.values:
            yield from self._by_number(name)
            return
        if hidden.unit == UNIT and hidden.id[0] in source.columns and not source.is_parquet:
            source = WithUnit(
                path=source.path, source=source, id=hidden.id[0], row_id=hidden.row_id
            )
        if source.path.is_file() and source.path.stat().st_size > LARGEST_TABLE:
            yield f"{name}: more than {LARGEST_TABLE >> 30} GB"
            return
        columns = key_columns(source, self.secret)
        if not columns:
            yield from self._link(name)
        elif source.is_parquet:
            copies.without(source, self.folder / name, columns, self._hides)
        else:
            rows = (row for row in source.rows() if not any(self._hides(row[n]) for n in columns))
            tables.write(self.folder / name, rows, open_table(source.path))

    def _by_number(self, name: str) -> Iterator[str]:
        """Copy the training table without the rows of hidden numbers; no other table names one."""
        train = self.profile.train
        if train is None or train.table.path.name != name:
            yield from self._link(name)
            return
        numbers = self.secret.values[ROW]
        rows = (row for row in train.table.rows() if row[ROW] not in numbers)
        tables.write(self.folder / name, rows, open_table(train.table.path))

    def _hides(self, cell: Cell) -> bool:
        """Say whether a cell names a hidden row."""
        return bool(named_by(cell, self.secret.all))

    # --- files and folders ---

    def _file(self, name: str) -> Iterator[str]:
        if self.secret.names(name):
            yield f"{name}: its name is a hidden row's"
        elif (self.profile.folder / name).stat().st_size > MOST_SCANNED:
            yield f"{name}: too large to be searched for hidden rows"
        elif self._named_inside(name):
            yield f"{name}: it names hidden rows"
        else:
            yield from self._link(name)

    def _public_files(self, name: str, room: int) -> tuple[list[str], list[str]]:
        """Return the files of a folder that belong to no hidden row, and what was left out.

        All are left out where there are more than `room`: linking them would take too long.
        """
        ruled = [t for t in self._templates() if t.partition("/")[0] == name]
        public, left_out = list[str](), list[str]()
        # Of an id such as news/0012 each part is a folder.
        deep = [c for c, values in self.secret.values.items() if any("/" in v for v in values)]
        for path in _walk(self.profile.folder, name):
            if len(public) >= room:
                return [], [f"{name}/: more than {MOST_FILES:,} files"]
            parsed = (templates.parse_path(template, path, deep) for template in ruled)
            owners = [values for values in parsed if values is not None]
            if any(self._is_hidden(values) for values in owners) or self.secret.names(path):
                if not owners:
                    left_out.append(f"{path}: it names a hidden row")
            # What no template explains may hold the answers of many rows in one file.
            elif not owners and self._named_inside(path):
                left_out.append(f"{path}: it names hidden rows")
            else:
                public.append(path)
        return public, left_out

    def _is_hidden(self, values: Mapping[str, str]) -> bool:
        """Say whether the values of a path's template are a hidden row's."""
        return any(value in self.secret.values.get(name, ()) for name, value in values.items())

    def _templates(self) -> Iterator[str]:
        hidden = self.profile.hidden
        yield from (train for _, train in hidden.files if train)
        yield from hidden.label_files

    def _named_inside(self, name: str) -> bool:
        path = self.profile.folder / name
        return path.stat().st_size <= MOST_SCANNED and _holds(path, self.secret.distinctive)

    def _link(self, name: str) -> Iterator[str]:
        """Link a file, or copy a small one; yield why it was left out."""
        target, source = self.folder / name, (self.profile.folder / name).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            return  # never written to: it may be a link to the user's own file
        except OSError:
            if source.stat().st_size > MOST_SCANNED:
                yield f"{name}: on another disk, and too large to copy"
            else:
                target.write_bytes(source.read_bytes())


def named_by(cell: Cell, values: frozenset[str]) -> frozenset[str]:
    """Return which of some ids a cell names: as a whole, as a word, as a file's name."""
    value = text(cell)
    # Nearly all cells are plain words or numbers, and a table may have a hundred million of them.
    if value.isalnum():
        return frozenset((value,)) if value in values else NOTHING
    whole, _, fraction = value.partition(".")
    if whole.isdecimal() and fraction.isdecimal():
        # An id that became a number: 12.0; 977.5 names nobody.
        names = (value, *((whole,) if not fraction.strip("0") else ()))
        return values.intersection(names)
    words = {value, *value.replace("\\", "/").split("/")}
    words |= {word.partition(".")[0] for word in words}
    if len(value) < LONG_TEXT:
        words.update(re.split(r"[_\s,;|]+", value))
    return values & words


def key_columns(table: Table, secret: Secret) -> list[str]:
    """Return the columns of a table that name hidden rows, whatever they are called.

    A column of the right name is one; so is any that holds nearly all hidden ids of a kind, or an
    id that cannot stand there by chance.
    """
    found = [name for name in table.columns if name in secret.values]
    others = [name for name in table.columns if name not in found]
    seen: dict[str, set[str]] = {name: set() for name in others}
    for name, cell in copies.cells(table, others) if secret.all else ():
        seen[name] |= named_by(cell, secret.all)
    for name, values in seen.items():
        recurring = any(
            len(own) > 2 and len(values & own) >= SHARE * len(own) for own in secret.values.values()
        )
        if recurring or values & secret.distinctive:
            found.append(name)
    return found


def _holds(path: Path, values: Iterable[str]) -> bool:
    """Say whether a file has one of the values in it, as a word."""
    known = {value.encode("utf-8", "surrogateescape") for value in values}
    if not known:
        return False
    content = path.read_bytes()
    # With dots for UIDs, without for 0012ab.png; a value with other signs is looked for as it is.
    for word in (rb"[A-Za-z0-9]+", rb"[A-Za-z0-9.]+"):
        if not known.isdisjoint(re.findall(word, content)):
            return True
    return any(value in content for value in known if re.search(rb"[^A-Za-z0-9.]", value))


def _walk(root: Path, folder: str) -> Iterator[str]:
    """Yield the paths of the files below a folder, relative to the root."""
    # As they come: whoever stops after some has not read all the names of a large folder.
    with os.scandir(root / folder) as scan:
        for entry in scan:
            path = f"{folder}/{entry.name}"
            if entry.is_dir():
                yield from _walk(root, path)
            elif entry.is_file():
                yield path
