"""Which files belong to a row: path templates, inferred from a few names in each folder."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bundler.competition import templates
from bundler.competition.columns import EMPTY, Column, Survey
from bundler.competition.listing import Entry, Listing, join
from bundler.competition.table import Row, text

DEEPEST = 5  # levels of folders below the competition's
BRANCHES = 8  # folders of one level with names of their own (images, masks) that are followed
FOLLOWED = 3  # folders named by a value that are looked into
ENOUGH = 0.5  # share of the names that must be values of one column
ID_LIKE = re.compile(r"(id|name|file|path|key)s?$|image", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z_-]+\d{0,2}[A-Za-z]?")  # images, FLAIR, T1w
PLAIN = re.compile(r"[A-Za-z_-]+")  # left, right: parts of one thing, not numbers of many
SWITCH = 2  # values of a column that says yes or no
PROBED = 4  # rows whose files are asked for, where a folder is too large to list
MOST_ROWS = 5000  # kept of the rows that belong to the folders looked into


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a path: what stands before a column's value, the column, what follows it."""

    before: str
    column: str
    after: str

    @property
    def template(self) -> str:
        """Return the part as a template."""
        return f"{self.before}{{{self.column}}}{self.after}"


def infer(listing: Listing, folder: str, survey: Survey) -> list[str]:
    """Return the templates of the files in `folder` that belong to the rows of a table."""
    search = _Search(listing, survey)
    return sorted(search.by_path(folder) or search.first(folder, folder, 0))


def looks_like_id(column: Column) -> bool:
    """Say whether a column's name is an id's."""
    return bool(ID_LIKE.search(column.name))


@dataclass(frozen=True)
class _Search:
    listing: Listing
    survey: Survey

    def by_path(self, folder: str) -> list[str]:
        """Return the templates of files whose path a column has: the id news/0012, in folders."""
        for column in self._columns():
            values = [v for v in self.survey.values(column.name)[:PROBED] if "/" in v]
            paths = [join(folder, value) for value in values]
            whole = [path for path in paths if self.listing.entries(path)]
            if values and len(whole) >= ENOUGH * len(values):
                rows = self._rows(column.name, set(values))
                named = [(join(folder, text(row[column.name])), row) for row in rows]
                own = [(path, [row for name, row in named if name == path]) for path in whole]
                return self.below(f"{folder}/{{{column.name}}}", own, 1)
            for suffix in dict.fromkeys(s for path in paths for s in self._suffixes(path)):
                hits = sum(self.listing.exists(path + suffix) for path in paths)
                if hits >= ENOUGH * len(paths):
                    return [f"{folder}/{{{column.name}}}{suffix}"]
        return []

    def _suffixes(self, path: str) -> list[str]:
        """Return what a file's name adds to a path, if anything: news/0012 → .png."""
        folder, _, name = path.rpartition("/")
        files = [entry for entry in self.listing.entries(folder) if not entry.is_folder]
        return [entry.suffix for entry in files if entry.stem == name]

    def first(self, template: str, folder: str, depth: int) -> list[str]:
        """Look at a folder that no row names: its entries may be named by one."""
        if depth > DEEPEST:
            return []
        found, unnamed = [], list[Entry]()
        for entries in _groups(self.listing.entries(folder)):
            parts = self._parts(folder, entries)
            found += self._accept(template, folder, entries, parts, depth)
            unnamed += [] if parts else entries
        # Folders with names of their own: images/, masks/, or a level that says nothing.
        inner = [entry for entry in unnamed if entry.is_folder]
        for entry in inner if len(inner) <= BRANCHES else []:
            path = join(folder, entry.name)
            found += self.first(join(template, entry.name), path, depth + 1)
        return found

    def _accept(
        self, template: str, folder: str, entries: list[Entry], parts: list[Part], depth: int
    ) -> list[str]:
        if not parts:
            return []
        if not entries[0].is_folder:
            return [join(template, part.template) for part in parts]
        part, following = parts[0], list[tuple[str, list[Row]]]()
        column = self.survey.column(part.column)
        names = [e.name for e in entries if column.holds(_value(e.name, part))]
        rows = self._rows(part.column, {_value(name, part) for name in names[:FOLLOWED]})
        for name in names[:FOLLOWED]:
            own = [row for row in rows if text(row[part.column]) == _value(name, part)]
            following.append((join(folder, name), own))
        return self.below(join(template, part.template), following, depth + 1)

    def below(self, template: str, folders: list[tuple[str, list[Row]]], depth: int) -> list[str]:
        """Look into folders whose rows are known."""
        groups: dict[tuple[bool, str], list[tuple[Entry, str, list[Row]]]] = {}
        for folder, rows in folders:
            for entry in self.listing.entries(folder):
                groups.setdefault((entry.is_folder, entry.suffix), []).append((entry, folder, rows))
        if depth > DEEPEST or not groups:
            return [template + "/"] if groups else []
        found = []
        for (is_folder, suffix), members in groups.items():
            deeper = self._named_below(template, is_folder, suffix, members, depth)
            if deeper is None and not is_folder and len(groups) == 1:
                deeper = [f"{template}/{name}" for name in _wildcards(members, suffix)]
            elif deeper is None and is_folder:
                deeper = self._constant(template, [m[0] for m in members], folders, depth)
            if deeper is None:
                return [template + "/"]  # a mixture: the whole folder belongs to the row
            found += deeper
        return found

    def _named_below(
        self,
        template: str,
        is_folder: bool,
        suffix: str,
        members: list[tuple[Entry, str, list[Row]]],
        depth: int,
    ) -> list[str] | None:
        """Return the templates where the entries are named by the folder's own rows."""
        for column in self._columns():
            # Series are numbered 0 and 1 in many a study, and labels are 0 and 1 in any table.
            if column.distinct <= SWITCH and column.kind == "integer" and not looks_like_id(column):
                continue
            named = []
            for entry, folder, rows in members:
                own = [row for row in rows if text(row[column.name]) == entry.stem]
                if own:
                    named.append((join(folder, entry.name), own))
            if len(named) < ENOUGH * len(members):
                continue
            part = f"{template}/{{{column.name}}}{suffix}"
            return self.below(part, named[:FOLLOWED], depth + 1) if is_folder else [part]
        return None

    def _constant(
        self,
        template: str,
        entries: list[Entry],
        folders: list[tuple[str, list[Row]]],
        depth: int,
    ) -> list[str] | None:
        names = sorted({entry.name for entry in entries})
        recur = all(sum(e.name == name for e in entries) * 2 >= len(folders) for name in names)
        # With one folder to look at, any name recurs: words are taken for a part of the layout.
        plain = len(folders) > 1 or all(WORD.fullmatch(name) for name in names)
        if len(names) > BRANCHES or not recur or not plain or any(n.isdigit() for n in names):
            return None
        found = []
        for name in names:
            inner = [(join(folder, name), rows) for folder, rows in folders]
            found += self.below(f"{template}/{name}", inner, depth + 1)
        return found

    def _columns(self) -> list[Column]:
        """Return the columns that could name files, the likeliest first."""
        able = [c for c in self.survey.columns if c.kind in ("text", "integer") and c.distinct]
        return sorted(able, key=lambda c: (not looks_like_id(c), -c.distinct))

    def _needed(self, names: int, column: Column) -> float:
        """Return how many of so many names must be values of a column to be named by it."""
        if self.survey.exact:
            return max(1.0, ENOUGH * min(names, column.distinct))
        # Only some rows were read, so only as many of the names can be known.
        return max(2.0, ENOUGH * names * column.rows / max(self.survey.rows, 1))

    def _parts(self, folder: str, entries: list[Entry]) -> list[Part]:
        """Return the parts that explain names of one kind: several where tails differ."""
        stems = [entry.stem for entry in entries]
        for before, tails in _frames(stems):
            for column in self._columns():
                named = [tail for tail in tails if self._fits(stems, before, column, tail)]
                if named:
                    suffix = entries[0].suffix
                    return [
                        Part(before=before, column=column.name, after=tail + suffix)
                        for tail in named
                    ]
        return self._probed(folder, entries)

    def _fits(self, stems: Sequence[str], before: str, column: Column, tail: str) -> bool:
        """Say whether enough of the names with this beginning and tail are values of a column."""
        inner = [
            stem[len(before) : len(stem) - len(tail)]
            for stem in stems
            if stem.startswith(before) and stem.endswith(tail)
        ]
        hits = sum(column.holds(value) for value in inner)
        return bool(inner) and hits >= self._needed(len(inner), column)

    def _probed(self, folder: str, entries: list[Entry]) -> list[Part]:
        """Ask for the files of a few rows: in a large folder the names read are those of others."""
        if self.listing.is_whole(folder):
            return []
        suffix = entries[0].suffix
        for column in [column for column in self._columns() if looks_like_id(column)]:
            values = self.survey.values(column.name)[:PROBED]
            hits = sum(self.listing.exists(join(folder, value + suffix)) for value in values)
            if values and hits >= ENOUGH * len(values):
                return [Part(before="", column=column.name, after=suffix)]
        return []

    def _rows(self, column: str, values: set[str]) -> list[Row]:
        """Return rows that have one of the values, by a second look at the table's beginning."""
        found = list[Row]()
        for number, row in enumerate(self.survey.table.rows()):
            if number >= self.survey.columns[0].rows or len(found) >= MOST_ROWS:
                break
            if text(row[column]) in values:
                found.append(row)
        return found


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[tuple[bool, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.is_folder, entry.suffix), []).append(entry)
    return list(groups.values())


def _frames(stems: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return what may stand before and after a value in names: nothing first."""
    frames: list[tuple[str, list[str]]] = [("", [""])]
    common = _common_beginning(stems)
    cut = max((common.rfind(c) for c in templates.SEPARATORS + "="), default=-1) + 1
    befores = ["", common[:cut]] if cut else [""]
    ends = {stem[stem.rfind("_") :] for stem in stems if "_" in stem}
    tails = sorted(ends) if 0 < len(ends) <= BRANCHES else []
    for before in befores:
        frames.append((before, [""]))
        if tails:
            frames.append((before, tails))
    return frames


def _common_beginning(stems: Sequence[str]) -> str:
    low, high = min(stems), max(stems)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    return "".join(one for one, _ in same)


def _value(name: str, part: Part) -> str:
    return name[len(part.before) : len(name) - len(part.after)]


def _wildcards(members: list[tuple[Entry, str, list[Row]]], suffix: str) -> list[str]:
    """Return the names that the files of all folders have, or any name with the suffix.

    A folder with left.wav and right.wav has these two; 1.dcm and 2.dcm are the first of many.
    """
    names: dict[str, set[str]] = {}
    for entry, folder, _ in members:
        names.setdefault(folder, set()).add(entry.name)
    first, *others = names.values()
    same = bool(others) and all(own == first for own in others)
    plain = len(first) == 1 or all(PLAIN.fullmatch(name.removesuffix(suffix)) for name in first)
    return sorted(first) if same and plain and len(first) <= BRANCHES else [f"*{suffix}"]


def expand(listing: Listing, template: str, row: Row) -> bool:
    """Say whether a row has a file by a template: for a whole folder, whether it exists."""
    path = templates.render(template, row)
    folder, _, last = path.rpartition("/")
    if any(text(row[name]) in EMPTY for name in templates.fields(template)):
        return False
    if "*" in last:
        return bool(listing.entries(folder))
    return listing.exists(path)
