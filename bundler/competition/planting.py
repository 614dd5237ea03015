"""Awkward cases that a real test set holds, planted as units under new ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bundler.competition import fresh, templates
from bundler.competition.columns import Column, Survey
from bundler.competition.dealing import Dealer, Dealt, File, naming_columns
from bundler.competition.fresh import HEXADECIMAL
from bundler.competition.table import Row, text
from bundler.competition.units import Unit

MANY = 30  # copies of a unit's files that "many files" has
MOST_FILES = 2000  # that it has at most
UNSEEN = "never-seen-before"
FEW = 3  # a column with fewer values than this is a switch, not a category


def plant(dealer: Dealer, units: Sequence[Unit], cases: Sequence[str]) -> list[Dealt]:
    """Return a unit for each case that this competition can have; cases without one are left."""
    planted = []
    for number, case in enumerate(cases):
        if not units:
            break
        unit = units[number % len(units)]
        dealt = _Case(dealer=dealer, unit=unit, case=case).made()
        if dealt is not None:
            # What was changed has no right answer any more.
            planted.append(replace(dealt, case=case, labels={}, twin=""))
    return planted


@dataclass(frozen=True, kw_only=True)
class _Case:
    dealer: Dealer
    unit: Unit
    case: str

    def made(self) -> Dealt | None:
        """Return the unit with what is awkward about it, or None where that cannot be."""
        makers: dict[str, Callable[[], Dealt | None]] = {
            "missing file": self._missing_file,
            "empty file": self._empty_file,
            "unseen category": self._unseen,
            "missing values": self._missing_values,
            "leading zeros": self._zeros,
            "many files": self._many,
            "single file": self._single,
        }
        return makers[self.case]()

    def _deal(self) -> Dealt:
        return self.dealer.deal(self.unit, seed=self.case, case=self.case)

    def _missing_file(self) -> Dealt | None:
        dealt = self._deal()
        return replace(dealt, files=dealt.files[1:]) if dealt.files else None

    def _empty_file(self) -> Dealt | None:
        dealt = self._deal()
        if not dealt.files:
            return None
        empty = replace(dealt.files[0], source=None)
        return replace(dealt, files=(empty, *dealt.files[1:]))

    # --- values of the table ---

    def _features(self) -> list[Column]:
        """Return the columns that are data: neither ids nor what ids and paths are made of."""
        profile = self.dealer.profile
        survey = profile.train if profile.train and not self.dealer.clones else profile.test
        return features(survey, self.dealer) if survey and profile.test else []

    def _unseen(self) -> Dealt | None:
        columns = [c for c in self._features() if c.is_category and c.distinct >= FEW]
        unseen: Row = {
            c.name: str(int(c.high or 0) + 1) if c.kind == "integer" else UNSEEN
            for c in columns
            if c.kind in ("integer", "text")
        }
        return self._with(unseen)

    def _missing_values(self) -> Dealt | None:
        columns = self._features()
        absent = [c for c in columns if c.missing] or [c for c in columns if c.kind == "number"]
        return self._with({column.name: "" for column in absent})

    def _with(self, values: Row) -> Dealt | None:
        dealt = self._deal()
        rows = tuple({**row, **values} for row in dealt.rows)
        return replace(dealt, rows=rows) if values else None

    # --- ids ---

    def _zeros(self) -> Dealt | None:
        """Return the unit with an id that a reader of numbers would shorten."""
        profile = self.dealer.profile
        survey = profile.train or profile.test or profile.sample
        names = {}
        for name in naming_columns(profile):
            if survey is None or not survey.has(name):
                continue
            values = [text(row[name]) for row in self.unit.rows]
            text_like = survey.column(name).leading_zeros or all(map(_is_hexadecimal, values))
            if text_like:
                names[name] = {v: fresh.with_zeros(v, self.case) for v in dict.fromkeys(values)}
        if not names:
            return None
        return self.dealer.deal(self.unit, seed=self.case, case=self.case, names=names)

    # --- numbers of files ---

    def _many(self) -> Dealt | None:
        dealt = self._deal()
        if not dealt.files:
            return None
        if _rows_have_files(self.dealer):
            return self._many_rows(dealt)
        if not self._has_any_number():
            return None
        copies = min(MANY, max(MOST_FILES // len(dealt.files), 1))
        more = [_numbered(f, k) for k in range(1, copies) for f in dealt.files]
        files = {file.path: file for file in (*more, *dealt.files)}
        return replace(dealt, files=tuple(files.values()))

    def _many_rows(self, first: Dealt) -> Dealt:
        """Return a unit with the rows of the first many times, each with a file of its own."""
        unit = self.dealer.profile.hidden.unit
        rows, files, ids = list(first.rows), list(first.files), dict.fromkeys(first.ids)
        for number in range(1, min(MANY, max(MOST_FILES // len(first.files), 2))):
            names = {unit: first.renamed[unit]}
            seed = f"{self.case} {number}"
            again = self.dealer.deal(self.unit, seed=seed, names=names)
            rows += again.rows
            files += again.files
            ids |= dict.fromkeys(again.ids)
        return replace(first, rows=tuple(rows), files=tuple(files), ids=tuple(ids))

    def _single(self) -> Dealt | None:
        dealt = self._deal()
        if len(dealt.files) < 2:
            return None
        if not _rows_have_files(self.dealer):
            # Of the files left.wav and right.wav each is named: one alone is a missing file.
            return replace(dealt, files=dealt.files[:1]) if self._has_any_number() else None
        row = self.unit.rows[0]
        single = Unit(value=self.unit.value, rows=(row,))
        dealt = self.dealer.deal(single, seed=self.case, case=self.case)
        return replace(dealt, files=dealt.files[:1])

    def _has_any_number(self) -> bool:
        """Say whether a row may have more files or fewer: by a wildcard, or as a folder."""
        return any("*" in test or test.endswith("/") for test, _ in self._pairs())

    def _pairs(self) -> Sequence[tuple[str, str]]:
        return self.dealer.profile.hidden.files


def features(survey: Survey, dealer: Dealer) -> list[Column]:
    """Return the columns of a test row that are data: neither ids nor what these are made of."""
    hidden = dealer.profile.hidden
    used = {hidden.unit, *hidden.id, *naming_columns(dealer.profile), *dict(hidden.repeat)}
    for template in (*dict(hidden.derived).values(), *hidden.row_id, *dict(hidden.files)):
        used |= set(templates.fields(template))
    used |= set(dict(hidden.derived))
    shown = set(dealer.shown())
    return [c for c in survey.columns if c.name in shown and c.name not in used]


def _rows_have_files(dealer: Dealer) -> bool:
    """Say whether the rows of a unit each name a file of their own."""
    hidden = dealer.profile.hidden
    named = {name for test, _ in hidden.files for name in templates.fields(test)}
    return bool((named & set(naming_columns(dealer.profile))) - {hidden.unit})


def _is_hexadecimal(value: str) -> bool:
    return bool(HEXADECIMAL.fullmatch(value)) and not value.isdigit()


def _numbered(file: File, number: int) -> File:
    """Return another name for a link to the same file: 12.dcm becomes 100012.dcm."""
    path = PurePosixPath(file.path)
    stem = path.name.removesuffix(path.suffix)
    name = f"{number}{stem.zfill(5)}" if stem.isdigit() else f"{stem}-{number}"
    return replace(file, path=str(path.with_name(name + path.suffix)))
