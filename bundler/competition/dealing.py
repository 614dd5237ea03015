"""Turn units of the training table into rows, ids, files and labels of a hidden test."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundler.competition import fresh, templates
from bundler.competition.columns import EMPTY, Survey
from bundler.competition.profile import Profile
from bundler.competition.table import Cell, Row, text
from bundler.competition.units import Unit, rank

JOINED = ","  # between the values of an id of several columns
Names = Mapping[str, Mapping[str, str]]  # column → old value → new value


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of the hidden test: where it lies in the folder, and what it is a link to."""

    path: str
    source: Path | None  # None: an empty file


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """One unit of a hidden test."""

    name: str  # its value of the unit's column
    source: str  # the unit that its rows and files come from
    rows: tuple[Row, ...]
    files: tuple[File, ...]
    ids: tuple[tuple[str, ...], ...]  # of the submission's rows: values of the id columns
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # id → target → value
    renamed: Names = field(default_factory=dict)
    case: str = ""  # what is awkward about it
    twin: str = ""  # the unit with the same rows and files under other ids


@dataclass(frozen=True, kw_only=True)
class Dealer:
    """Deals units of one competition; `answers` holds the labels' rows of the units dealt."""

    profile: Profile
    clones: bool  # the units are public test rows, dealt under new ids
    answers: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    words: bool = False  # ids tell the answer: letters change, too

    def deal(
        self,
        unit: Unit,
        *,
        seed: str = "",
        case: str = "",
        names: Names | None = None,
        twin: str = "",
    ) -> Dealt:
        """Return a unit of the hidden test; with a `seed` under new ids, of which some may be set.

        `names` sets new values of some columns itself, `twin` names the unit that it repeats.
        """
        renamed = {**(self.renaming(unit, seed) if seed else {}), **(names or {})}
        pairs = [pair for row in unit.rows for pair in self._test_rows(row, renamed)]
        rows = _distinct([row for _, row in pairs])
        ids = tuple(dict.fromkeys(name for row in rows for name in self.ids(row)))
        name = renamed.get(self.profile.hidden.unit, {}).get(unit.value, unit.value)
        return Dealt(
            name=name,
            source=unit.value,
            rows=tuple(rows),
            files=tuple(_unique(file for pair in pairs for file in self._files(*pair))),
            ids=ids,
            labels=self._labels(unit, pairs),
            renamed=renamed,
            case=case,
            twin=twin,
        )

    def ids(self, row: Row) -> list[tuple[str, ...]]:
        """Return the ids of the submission that belong to a test row."""
        hidden = self.profile.hidden
        if hidden.row_id:
            return [(templates.render(template, row),) for template in hidden.row_id]
        return [tuple(text(row.get(name)) for name in hidden.id)]

    # --- rows ---

    def _test_rows(self, row: Row, renamed: Names) -> Iterator[tuple[Row, Row]]:
        """Yield (source row, test row): one, or one for each value of the repeated columns."""
        hidden = self.profile.hidden
        names = [name for name, _ in hidden.repeat] if not self.clones else []
        repeated = [values for _, values in hidden.repeat] if not self.clones else []
        for values in itertools.product(*repeated):
            source = {**row, **dict(zip(names, values, strict=True))}
            shown = {n: _renamed(source.get(n), renamed.get(n)) for n in self.shown()}
            shown |= {
                name: self._public(name, text(row.get(hidden.unit)))
                for name in self.profile.unknown
            }
            for name, template in hidden.derived:
                # A path leads to the test set's folder, whose name the training row does not have.
                differs = renamed or name not in row or "/" in template
                if name not in renamed and differs:
                    shown[name] = templates.render(template, shown)
            yield source, shown

    def _public(self, name: str, unit: str) -> Cell:
        """Return a public test row's value of a column that training rows lack."""
        rows = self.profile.test.examples if self.profile.test else ()
        return rows[rank(unit, 0) % len(rows)][name] if rows else None

    def shown(self) -> list[str]:
        """Return the columns of a test row; never one with a label."""
        hidden, test = self.profile.hidden, self.profile.test
        if test is not None:
            return [c.name for c in test.columns if c.name not in hidden.labels]
        own = [*hidden.id, hidden.unit]
        return [name for name in dict.fromkeys(own) if name]

    # --- new ids ---

    def renaming(self, unit: Unit, seed: str) -> Names:
        """Return new values for all columns that name the unit, its rows or its files."""
        derived = {name for name, _ in self.profile.hidden.derived}
        found = {}
        for name in naming_columns(self.profile):
            if name in derived:
                continue
            values = dict.fromkeys(text(row[name]) for row in unit.rows if name in row)
            found[name] = {
                value: fresh.like(value, f"{seed}\0{unit.value}", words=self.words)
                for value in values
                if value not in EMPTY
            }
        return found | self._dependent(unit, found)

    def _dependent(self, unit: Unit, found: Names) -> dict[str, Mapping[str, str]]:
        """Return new ids where the id begins with the unit: ID_123_any of ID_123."""
        hidden = self.profile.hidden
        if not hidden.row_id or hidden.unit not in found or len(hidden.id) != 1:
            return {}
        (column,), own = hidden.id, {}
        for row in unit.rows:
            old = text(row.get(column))
            for template in hidden.row_id:
                if old and templates.render(template, row) == old:
                    shown = {n: _renamed(cell, found.get(n)) for n, cell in row.items()}
                    own[old] = templates.render(template, shown)
        return {column: own} if own else {}

    # --- files ---

    def _files(self, source: Row, shown: Row) -> Iterator[File]:
        for test, train in self.profile.hidden.files:
            origin = test if self.clones else train
            if origin and all(name in {**source, **shown} for name in templates.fields(test)):
                yield from self._matching(test, origin, source, shown)

    def _matching(self, test: str, origin: str, source: Row, shown: Row) -> Iterator[File]:
        """Yield the files of one row by one pair of templates."""
        root = self.profile.folder
        path = templates.render(origin, source)
        target = templates.render(test, {**source, **shown})
        if origin.endswith("/"):
            for file in _walk(root / path):
                yield File(path=f"{target}{file}", source=root / path / file)
        elif "*" in path.rpartition("/")[2]:
            folder, _, pattern = path.rpartition("/")
            for name in _names(root / folder, pattern):
                yield File(path=f"{target.rpartition('/')[0]}/{name}", source=root / folder / name)
        elif (root / path).exists():
            yield File(path=target, source=root / path)

    def has_files(self, row: Row) -> bool:
        """Say whether the files of a row are on this machine: a part may be downloaded."""
        pairs = [(t if self.clones else s) for t, s in self.profile.hidden.files]
        for origin in filter(None, pairs):
            if not all(name in row for name in templates.fields(origin)):
                continue
            path = templates.render(origin, row)
            present = path.rpartition("/")[0] if "*" in path else path
            if not (self.profile.folder / present).exists():
                return False
        return True

    # --- labels ---

    def _labels(self, unit: Unit, pairs: Sequence[tuple[Row, Row]]) -> dict[str, Mapping[str, str]]:
        """Return what is known of the right answers: id → target → value."""
        if self.clones:
            return {}
        own = self.answers.get(unit.value, ())
        found: dict[str, Mapping[str, str]] = {}
        for source, shown in pairs:
            # A training row with an id of its own answers for that id alone.
            own_id = tuple(text(shown.get(name)) for name in self.profile.hidden.id)
            alone = all(name in source for name in self.profile.hidden.id)
            for identity in [own_id] if alone else self.ids(shown):
                # A label table has one row for the unit; else the row itself has the answer.
                answer = {**(own[0] if own else {}), **source}
                known = self._answer(answer, JOINED.join(identity), source, shown)
                if known:
                    found[JOINED.join(identity)] = known
        return found

    def _answer(self, row: Row, identity: str, source: Row, shown: Row) -> dict[str, str]:
        targets, labels = self.profile.hidden.targets, self.profile.hidden.labels
        if targets and all(name in row for name in targets):
            return {name: text(row[name]) for name in targets}
        # A column of each finding (wide labels): the one that the id or a repeated value names.
        values = [text(shown.get(name)) for name, _ in self.profile.hidden.repeat]
        named = [n for n in labels if n in values or identity.endswith(f"_{n}")]
        only = named or ([labels[0]] if len(labels) == 1 else [])
        if not only or only[0] not in row:
            return {}
        value = text(row[max(only, key=len)])
        if len(targets) == 1:
            return {targets[0]: value}
        words = {target: _word(target) == _word(value) for target in targets}
        if sum(words.values()) == 1:
            return {target: str(int(same)) for target, same in words.items()}
        return {}


def naming_columns(profile: Profile) -> list[str]:
    """Return the columns whose values belong to one unit alone: its own, ids, names of files."""
    hidden = profile.hidden
    named = [hidden.unit, *(n for n in hidden.id if len(hidden.id) == 1 or _identifies(profile, n))]
    for template, _ in hidden.files:
        named += [n for n in templates.fields(template) if _identifies(profile, n)]
    test = profile.train or profile.test or profile.sample
    return [n for n in dict.fromkeys(named) if n and test and (test.has(n) or n in hidden.id)]


def _identifies(profile: Profile, name: str) -> bool:
    """Say whether no two units share a value of a column (as they share `1` of slice 1)."""
    table = profile.train or profile.test or profile.sample
    unit = profile.hidden.unit
    if table is None or not table.has(name) or not table.has(unit):
        return False
    owners: dict[str, str] = {}
    return all(
        owners.setdefault(text(row[name]), text(row[unit])) == text(row[unit])
        for row in table.examples
    )


def ids_tell_labels(profile: Profile) -> bool:
    """Say whether the ids of training rows have their label in them, as cat_0012 does."""
    table = (
        profile.answers if profile.answers and profile.answers.has(profile.hidden.unit) else None
    )
    if table is None:
        return False
    return any(
        _tells(table, name, label)
        for name in (profile.hidden.unit, *profile.hidden.id)
        for label in profile.hidden.labels
        if table.has(name) and table.has(label) and table.column(label).kind == "text"
    )


def _tells(table: Survey, name: str, label: str) -> bool:
    pairs = [(text(row[name]).lower(), _word(text(row[label]))) for row in table.examples]
    known = [(identity, word) for identity, word in pairs if word]
    return len({word for _, word in known}) > 1 and all(
        word in _word(identity) for identity, word in known
    )


def _word(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")


def _renamed(cell: Cell, names: Mapping[str, str] | None) -> Cell:
    return names.get(text(cell), cell) if names else cell


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Return rows without repetitions: of two training rows only their labels may differ."""
    return list({tuple(map(text, row.values())): row for row in rows}.values())


def _unique(files: Iterator[File]) -> list[File]:
    return list({file.path: file for file in files}.values())


def _names(folder: Path, pattern: str) -> list[str]:
    suffix = pattern.replace("*", "")
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(suffix))
    except OSError:
        return []


def _walk(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
