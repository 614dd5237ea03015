"""How the ids of a submission's rows are made from the rows of the test table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bundler.competition import columns, row_number, templates
from bundler.competition.columns import Survey
from bundler.competition.file_templates import looks_like_id
from bundler.competition.roles import Question, Tables
from bundler.competition.row_number import ROW
from bundler.competition.table import Row, Table, text
from bundler.hidden import Hidden

UNIT = "unit"  # the name of a unit where no table has a column for it
MOST_TEMPLATES = 500


@dataclass(frozen=True, kw_only=True)
class Ids:
    """What names a row of the submission, and what is predicted of it."""

    id: tuple[str, ...]
    targets: tuple[str, ...]
    row_id: tuple[str, ...] = ()
    column: str = ""  # of the test table (or `unit`) that the ids begin with
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WithUnit(Table):
    """A table without a column for the unit, which its ids begin with: it gets one."""

    source: Table  # as the file has it
    id: str
    row_id: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the file's columns, and the unit's."""
        return (*self.source.columns, UNIT)

    def positions(self) -> Iterator[tuple[Row, float]]:
        """Yield the rows with their unit, and the share of the file that is read."""
        for row, share in self.source.positions():
            yield {**row, UNIT: self.unit(text(row[self.id]))}, share

    def unit(self, identity: str) -> str:
        """Return the unit that an id belongs to; the id itself where no template fits."""
        parsed = (templates.parse(template, identity) for template in self.row_id)
        return next((found[UNIT] for found in parsed if found), identity)


def identify(tables: Tables, hidden: Hidden) -> Ids:
    """Find what names a row of the submission, and how that comes from the test table."""
    own, questions = hidden.id or (), tuple[Question, ...]()
    if not own:
        own, questions = _id_columns(tables)
    targets = hidden.targets or tuple(name for name in tables.columns if name not in own)
    if tables.sample is not None and not targets:
        questions = (*questions, _nameless(tables.sample))
    done = Ids(id=own, targets=targets, questions=questions, row_id=hidden.row_id)
    if tables.sample is None or hidden.row_id or len(own) != 1:
        return done
    if tables.test is not None:
        if not tables.test.has(own[0]):
            return _explained(done, tables.sample, tables.test)
        if doubt := _stranger(tables.sample, tables.test, own[0]):
            return replace(done, questions=(*questions, doubt))
        if row_number.counts_rows(tables.test, tables.train, own[0]):
            return _numbered(done, tables.test)
        template = with_category(own[0], tables.test, tables.train)
        return replace(done, row_id=(template,), column=UNIT) if template else done
    source = tables.train if tables.train and tables.train.has(own[0]) else tables.sample
    found = without_table(source.values(own[0])[: columns.KEPT // 2])
    if found is None:
        return done
    return replace(done, row_id=found.templates, column=UNIT)


def _nameless(sample: Survey) -> Question:
    """Ask for the id where all columns of a sample would be needed to tell its rows apart."""
    name = sample.table.path.name
    return Question(
        key="id",
        taken="",
        others=tuple(column.name for column in sample.columns),
        reason=f"No column of {name} names a row and leaves another to be answered. Where rows are "
        "known by their order alone, write the hidden test by a hook "
        '(hidden = "package.module:function").',
    )


def _stranger(sample: Survey, test: Survey, name: str) -> Question | None:
    """Ask where the sample's ids are none of the test table's, though the columns have one name."""
    values = sample.values(name)
    if not values or any(map(test.column(name).holds, values)) or not test.exact:
        return None
    return Question(
        key="id",
        taken=name,
        others=tuple(column.name for column in sample.columns if column.name != name)[:4],
        reason=f"None of the ids of {sample.table.path.name} (such as {', '.join(values[:2])}) is "
        f"in {test.table.path.name}.",
    )


def _numbered(ids: Ids, test: Survey) -> Ids:
    """Return ids that are the numbers of the test table's rows."""
    note = f"{ids.id[0]} is the number of a row of {test.table.path.name}; training rows have none."
    return replace(ids, row_id=(f"{{{ROW}}}",), column=ROW, notes=(*ids.notes, note))


def _explained(ids: Ids, sample: Survey, test: Survey) -> Ids:
    # Numbers may occur in any column; where they count the rows, that is what they do.
    if row_number.are_numbers(sample, ids.id[0], test):
        return _numbered(ids, test)
    found = from_columns(sample, ids.id[0], test)
    if found:
        return replace(ids, row_id=found.templates, column=found.column)
    reason = (
        f"No column of {test.table.path.name} is in the ids of {sample.table.path.name} "
        f"(such as {', '.join(sample.values(ids.id[0])[:2])})."
    )
    names = [f"{{{column.name}}}" for column in test.columns if looks_like_id(column)]
    doubt = Question(key="row_id", taken="", others=tuple(names[:4]), reason=reason)
    return replace(ids, questions=(*ids.questions, doubt))


def _id_columns(tables: Tables) -> tuple[tuple[str, ...], tuple[Question, ...]]:
    """Return the sample's id columns, and the question where several could be the one."""
    sample = tables.sample
    if sample is None or not sample.columns:
        return (), ()
    known = [c for c in sample.columns if tables.test and tables.test.has(c.name)]
    unique = [column for column in known if column.is_unique]
    if len(known) == 1:
        return (known[0].name,), ()
    if unique:
        # All could be the id; the others are copied from the test table at any rate.
        first = max(unique, key=lambda c: (looks_like_id(c), c is unique[0]))
        doubt = Question(
            key="id",
            taken=first.name,
            others=tuple(column.name for column in unique if column is not first),
            reason="Each names every row of the sample submission once.",
        )
        copied = [column.name for column in known if column not in unique]
        return (first.name, *copied), (doubt,) if len(unique) > 1 else ()
    for count in range(1, len(sample.columns) + 1):
        names = [column.name for column in sample.columns[:count]]
        if len(columns.group(sample.examples, names)) == len(sample.examples):
            return tuple(names), ()
    return (sample.columns[0].name,), ()


@dataclass(frozen=True, kw_only=True)
class RowIds:
    """The templates of one test row's ids, and the column that they name it by."""

    templates: tuple[str, ...]
    column: str


def from_columns(sample: Survey, column: str, test: Survey) -> RowIds | None:
    """Explain the sample's ids by the columns of the test table; None where that is impossible."""
    ids = sample.values(column)
    able = [known for known in test.columns if known.kind in ("text", "integer")]
    rows = {
        known.name: {value: row for row in test.examples if (value := text(row[known.name]))}
        for known in able
    }
    for name in rows:
        if found := _by_columns(ids, {name: rows[name]}):
            return RowIds(templates=_of_column(found[name], rows[name], name, test), column=name)
    # Some competitions ask for answers of two kinds: of each image, and of its study.
    mixed = _by_columns(ids, rows)
    if not mixed:
        return None
    own = [t for name, found in mixed.items() for t in _of_column(found, rows[name], name, test)]
    coarse = min(mixed, key=lambda name: len(rows[name]))
    return RowIds(templates=tuple(own[:MOST_TEMPLATES]), column=coarse)


Found = dict[str, list[str]]  # a column's value → the ids that begin with it


def _by_columns(ids: Sequence[str], rows: dict[str, dict[str, Row]]) -> dict[str, Found] | None:
    """Return for each column the ids that begin with its values; None where one fits nowhere."""
    found: dict[str, Found] = {}
    for identity in ids:
        fitting = (
            (name, value) for value in _beginnings(identity) for name in rows if value in rows[name]
        )
        name, value = next(fitting, ("", ""))
        if not name:
            return None
        found.setdefault(name, {}).setdefault(value, []).append(identity)
    return found


def _of_column(found: Found, rows: dict[str, Row], column: str, test: Survey) -> tuple[str, ...]:
    """Return templates that hold for all rows: words that differ are values of other columns."""
    tails = {
        value: tuple(f"{{{column}}}{identity[len(value) :]}" for identity in ids)
        for value, ids in found.items()
    }
    first = next(iter(tails.values()))
    # Each row has the same tails: `{study_id}_left`, `{study_id}_right`.
    if len(tails) > 1 and all(set(other) == set(first) for other in tails.values()):
        return first[:MOST_TEMPLATES]
    if all(len(ids) == 1 for ids in found.values()):
        values = [ids[0] for ids in found.values()]
        names = [known.name for known in test.columns]
        if whole := templates.infer(values, [rows[value] for value in found], names):
            return (whole,)
    return tuple(dict.fromkeys(t for own in tails.values() for t in own))[:MOST_TEMPLATES]


def without_table(ids: Sequence[str]) -> RowIds | None:
    """Explain ids by the tails that each unit has: a_left, a_right, b_left, b_right."""
    for cuts in (1, 2, 3):
        units: dict[str, list[str]] = {}
        for identity in ids:
            parts = identity.rsplit("_", cuts)
            units.setdefault(parts[0], []).append(identity[len(parts[0]) :])
        tails = {tuple(own) for own in units.values()}
        if len(tails) == 1 and len(units) > 1 and len(next(iter(tails))) > 1:
            own = tuple(f"{{{UNIT}}}{tail}" for tail in next(iter(tails)))
            return RowIds(templates=own, column=UNIT)
    return None


def with_category(column: str, test: Survey, train: Survey | None) -> str:
    """Return the template of ids such as ID7__Dead_g in rows that have Dead_g beside it, or "".

    What stands before is a unit with several rows: an image, where no column names it by itself.
    """
    if train is None or not train.has(column) or test.has(UNIT):
        return ""
    for other in test.columns:
        if other.name == column or other.kind != "text" or not train.has(other.name):
            continue
        tails = [_tail(table, column, other.name) for table in (test, train)]
        if not tails[0] or tails[0] != tails[1]:
            continue
        template = f"{{{UNIT}}}{tails[0]}"
        units = [_units(table, column, template) for table in (test, train)]
        # Where a column has the unit, ids follow from that; where rows are alone, they are units.
        named = any(units[0] == [text(row[c.name]) for row in test.examples] for c in test.columns)
        if not named and all(len(set(own)) < len(own) for own in units):
            return template
    return ""


def _tail(table: Survey, column: str, other: str) -> str:
    """Return what all ids end with, as a template: separators and another column's value."""
    tails = set()
    for row in table.examples:
        identity, value = text(row[column]), text(row[other])
        before = identity.removesuffix(value)
        unit = before.rstrip(templates.SEPARATORS)
        if not value or not unit or unit == before or before == identity:
            return ""
        tails.add(f"{before[len(unit) :]}{{{other}}}")
    return tails.pop() if len(tails) == 1 else ""


def _units(table: Survey, column: str, template: str) -> list[str]:
    parsed = [templates.parse(template, text(row[column])) for row in table.examples]
    return [found[UNIT] for found in parsed if found]


def _beginnings(identity: str) -> list[str]:
    """Return an id and its beginnings up to each separator, the longest first."""
    cuts = [at for at, c in enumerate(identity) if c in templates.SEPARATORS]
    return [identity, *(identity[:at] for at in reversed(cuts) if at)]
