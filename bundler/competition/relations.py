"""How test and training tables correspond: units, labels, derived and repeated columns, order."""

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.competition import templates
from bundler.competition.columns import Survey, group
from bundler.competition.file_pairs import Files
from bundler.competition.roles import Question, Tables
from bundler.competition.row_ids import UNIT, Ids
from bundler.competition.table import text
from bundler.hidden import Hidden, Pairs

# Rows of one patient or study must not be torn apart: the first of these that is there decides.
UNITS = ("patient", "subject", "participant", "person", "study", "series", "case", "session")
# What a name ends with that says who somebody is: PatientID and patient, but not PatientSex.
NAMING = ("id", "key", "number", "num", "no", "nr", "code", "name", "hash", "index", "idx")
Repeat = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The column whose rows stay together."""

    column: str
    questions: tuple[Question, ...] = ()


def unit(tables: Tables, ids: Ids, files: Files, hidden: Hidden) -> Unit:
    """Return the column whose equal values keep rows together: the coarsest name of a person."""
    if hidden.unit:
        return Unit(column=hidden.unit)
    if ids.column == UNIT:
        return Unit(column=UNIT)
    common = _common(tables, ids)
    named = [next((n for n in common if _names(n.lower(), word)), "") for word in UNITS]
    found = next((name for name in named if name), "")
    folders = [templates.fields(template)[0] for template, _ in files.pairs if "{" in template]
    first = next((name for name in folders if name in common), "")
    own = next((name for name in (*ids.id, ids.column) if name in common), "")
    chosen = found or first or own or ids.column
    if chosen:
        return Unit(column=chosen)
    doubt = Question(
        key="unit",
        taken="",
        others=tuple(common[:4]),
        reason="No column names a row in both the test and the training table.",
    )
    return Unit(column="", questions=(doubt,) if tables.train else ())


def _names(column: str, word: str) -> bool:
    """Say whether a column tells one patient, study … from another, by its name in lower case."""
    return word in column and column.endswith((word, f"{word}s", *NAMING))


def _common(tables: Tables, ids: Ids) -> list[str]:
    """Return the columns that test and training rows share; all there are where one is absent."""
    test = tables.test or tables.sample
    if test is None:
        return []
    able = [
        c.name for c in test.columns if c.kind in ("text", "integer") and c.name not in ids.targets
    ]
    return [name for name in able if tables.train is None or tables.train.has(name)]


def labels(tables: Tables, ids: Ids, hidden: Hidden) -> tuple[str, ...]:
    """Return the training columns that a test row does not have: the answers, or what shows it."""
    if hidden.labels or tables.train is None:
        return hidden.labels
    shown = {*ids.id, UNIT}
    shown |= {column.name for column in tables.test.columns} if tables.test else set()
    known = [*tables.train.columns, *(tables.answers.columns if tables.answers else ())]
    return tuple(dict.fromkeys(column.name for column in known if column.name not in shown))


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Test columns that the training table lacks: how they come about, or that it is not known."""

    derived: Pairs = ()
    repeat: Repeat = ()
    unknown: tuple[str, ...] = ()


def missing(tables: Tables, ids: Ids, unit_column: str, hidden: Hidden) -> Missing:
    """Explain the test columns that training rows do not have."""
    test, train = tables.test, tables.train
    if test is None or hidden.is_filled:
        return Missing(
            derived=hidden.derived, repeat=hidden.repeat, unknown=_unknown(tables, hidden)
        )
    if train is None:
        others = [c.name for c in test.columns if c.name not in ids.id]
        return Missing(derived=tuple(_derived(ids.id, others, test).items()))
    absent = [column.name for column in test.columns if not train.has(column.name)]
    common = [column.name for column in test.columns if train.has(column.name)]
    derived, repeat = dict(hidden.derived), dict(hidden.repeat)
    derived |= _derived([n for n in absent if n not in {**derived, **repeat}], common, test)
    derived |= _derived_ids(ids, common, test, train)
    open_ = [name for name in absent if name not in {**derived, **repeat}]
    repeat |= _repeated(open_, unit_column, test)
    open_ = [name for name in open_ if name not in repeat]
    derived |= _derived(open_, [*common, *repeat], test)
    return Missing(
        derived=tuple(derived.items()),
        repeat=tuple(repeat.items()),
        unknown=tuple(name for name in open_ if name not in derived),
    )


def _derived_ids(ids: Ids, common: Sequence[str], test: Survey, train: Survey) -> dict[str, str]:
    """Return how ids are made of other columns that both tables have: a new unit needs new ids."""
    own = [name for name in ids.id if name in common]
    others = [name for name in common if name not in ids.id]
    found = _derived(own, others, test)
    return {name: t for name, t in found.items() if _derived([name], others, train) == {name: t}}


def _unknown(tables: Tables, hidden: Hidden) -> tuple[str, ...]:
    """Return the test columns that neither training rows nor the settings explain."""
    if tables.test is None or tables.train is None:
        return ()
    explained = {*dict(hidden.derived), *dict(hidden.repeat)}
    explained |= {column.name for column in tables.train.columns}
    return tuple(c.name for c in tables.test.columns if c.name not in explained)


def _derived(names: Sequence[str], known: Sequence[str], test: Survey) -> dict[str, str]:
    found = {}
    for name in (name for name in names if test.has(name)):
        values = [text(row[name]) for row in test.examples]
        template = templates.infer(values, test.examples, known, literal=False)
        if template:
            found[name] = template
    return found


def _repeated(names: Sequence[str], unit_column: str, test: Survey) -> dict[str, tuple[str, ...]]:
    """Return the columns that go through the same values for each unit (finding, level …)."""
    if not unit_column or not test.has(unit_column):
        return {}
    found = {}
    for name in names:
        column = test.column(name)
        groups = group(test.examples, [unit_column]).values()
        sets = {tuple(dict.fromkeys(text(row[name]) for row in rows)) for rows in groups}
        recurring = len({frozenset(values) for values in sets}) == 1
        if column.kind in ("text", "integer") and column.values and recurring:
            values = next(iter(sets))
            if len(values) > 1:
                found[name] = values
    return found


def order(tables: Tables, ids: Ids, hidden: Hidden) -> str:
    """Say in which order the sample lists its rows: as the test table, sorted, or by number."""
    sample = tables.sample
    if hidden.is_filled or sample is None or len(ids.id) != 1 or len(sample.examples) < 3:
        return hidden.order
    values = sample.values(ids.id[0])[:200]
    if tables.test and tables.test.has(ids.id[0]):
        first = list(dict.fromkeys(tables.test.values(ids.id[0])[:200]))
        if first[: len(values)] == values[: len(first)]:
            return "test"
    if values == sorted(values):
        return "sorted"
    if all(value.isdigit() for value in values) and values == sorted(values, key=int):
        return "numeric"
    return "test"
