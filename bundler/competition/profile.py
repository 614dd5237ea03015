"""What a competition's folder holds: read from a few rows and names, shown, confirmed, kept."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath

from bundler.competition import file_pairs, relations, roles, row_ids, row_number
from bundler.competition.columns import Survey, survey
from bundler.competition.gateway import package
from bundler.competition.gateway.package import Package
from bundler.competition.listing import Listing
from bundler.competition.roles import Names, Question, Tables
from bundler.competition.row_ids import UNIT, Ids, WithUnit
from bundler.competition.row_number import ROW
from bundler.competition.table import open_table
from bundler.errors import CheckError, InputError, UsageError
from bundler.hidden import MAPPINGS, Hidden, Pairs
from bundler.result import Json

MADE = {UNIT, ROW}  # columns that no file has, of the unit and the number of a row


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A competition's tables, columns and files, and what of it is not certain."""

    folder: Path
    hidden: Hidden
    sample: Survey | None
    test: Survey | None
    train: Survey | None
    answers: Survey | None
    unknown: tuple[str, ...] = ()  # test columns that nothing explains
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()
    entries_read: int = 0
    confirmed: bool = False  # the settings held it
    title: str = ""  # what it was read from, where that is no folder that lasts
    gateway: Package | None = None  # what hands the rows over on the rerun

    def require_certain(self) -> None:
        """Raise CheckError where something has to be decided first."""
        if self.questions:
            raise CheckError(
                f"The tables of {self.title or self.folder} are not certain: "
                + " ".join(question.text for question in self.questions)
                + " Decide by `rsna-bundle competition --write --set KEY=VALUE`."
            )

    def summary(self) -> str:
        """Return what was understood, a line for each thing, what is uncertain last."""
        from bundler.competition.profile_text import describe

        return describe(self)

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "folder": self.title or str(self.folder),
            "confirmed": self.confirmed,
            "hidden": settings(self.hidden),
            "rows": {
                name: {"count": table.rows, "exact": table.exact}
                for name, table in self.tables().items()
            },
            "columns": {
                name: {column.name: column.kind for column in table.columns}
                for name, table in self.tables().items()
            },
            "questions": [
                {"key": q.key, "taken": q.taken, "others": list(q.others), "reason": q.reason}
                for q in self.questions
            ],
            "gateway": dict(self.gateway.lines()) if self.gateway else None,
            "notes": list(self.notes),
            "entries_read": self.entries_read,
        }

    def tables(self) -> dict[str, Survey]:
        """Return the tables that were read, by file name."""
        known = (self.sample, self.test, self.train, self.answers)
        return {table.table.path.name: table for table in known if table}


def read(folder: Path, hidden: Hidden = Hidden()) -> Profile:  # noqa: B008 - frozen
    """Read a competition's folder; what the settings say is taken from there, not inferred.

    Raises InputError where the folder is missing, holds no sample submission, or a table is broken.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder. Name the one with the competition's files by "
            "--competition-dir (`kaggle competitions download` gets them)."
        )
    listing = Listing(root=folder)
    names = roles.sort(listing)
    served = package.read(folder) if names.gateway else None
    if hidden.gateway and served is None:
        raise InputError(package.absent(folder))
    tables = roles.choose(listing, names, hidden)
    hidden = _of_gateway(hidden, served, tables)
    _check_columns(tables, hidden)
    ids = row_ids.identify(tables, hidden)
    tables = _with_units(tables, ids)
    files = file_pairs.match(listing, names, tables.test or tables.sample, tables.train, hidden)
    unit = relations.unit(tables, ids, files, hidden)
    absent = relations.missing(tables, ids, unit.column, files, hidden)
    filled = replace(
        hidden,
        submission=hidden.submission or _submission(tables.sample_file),
        sample=tables.sample_file,
        test=_name(tables.test),
        train=_name(tables.train),
        label_table=_name(tables.answers) if tables.answers is not tables.train else "",
        id=ids.id,
        targets=ids.targets,
        labels=relations.labels(tables, ids, hidden),
        unit=unit.column,
        row_id=ids.row_id,
        derived=absent.derived,
        repeat=absent.repeat,
        tables=_further(listing, names, tables, unit.column, hidden),
        files=files.pairs,
        label_files=files.label_files,
        order=relations.order(tables, ids, hidden),
        gateway=hidden.gateway or names.gateway,
    )
    doubts = (*tables.questions, *ids.questions, *files.questions, *unit.questions)
    return Profile(
        folder=folder,
        hidden=filled,
        sample=tables.sample,
        test=tables.test,
        train=tables.train,
        answers=tables.answers,
        unknown=absent.unknown,
        questions=() if hidden.is_filled else doubts,
        notes=(*ids.notes, *files.notes, *_notes(absent.unknown, tables, names)),
        entries_read=listing.entries_read,
        confirmed=hidden.is_filled,
        gateway=served,
    )


def _of_gateway(hidden: Hidden, served: Package | None, tables: Tables) -> Hidden:
    """Return the settings with what a gateway says of its rows, where no sample shows it."""
    if served is None:
        return hidden
    submission = hidden.submission or served.submission
    if tables.sample is not None or tables.test is None:
        return replace(hidden, submission=submission)
    known = all(tables.test.has(name) for name in served.row_ids)
    target = (served.target,) if tables.train and tables.train.has(served.target) else ()
    return replace(
        hidden,
        submission=submission,
        id=hidden.id or (served.row_ids if known else ()),
        targets=hidden.targets or target,
    )


def _check_columns(tables: Tables, hidden: Hidden) -> None:
    """Raise UsageError where the settings name a column that no table has."""
    known = (tables.sample, tables.test, tables.train, tables.answers)
    columns = {column.name for table in known if table for column in table.columns} | MADE
    if columns == MADE:  # no table at all: a sample of JSON or a zip
        return
    for key in ("id", "targets", "labels", "unit"):
        value = getattr(hidden, key)
        for name in (value,) if isinstance(value, str) else value:
            if name and name not in columns:
                near = difflib.get_close_matches(name, columns, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise UsageError(
                    f"{key} = {name!r}: no table has such a column.{hint} "
                    f"There are {', '.join(sorted(columns - MADE)[:40])}."
                )


def _with_units(tables: Tables, ids: Ids) -> Tables:
    """Return the tables with a column for the unit, where ids alone name it."""
    if any(f"{{{ROW}}}" in template for template in ids.row_id):
        return _with_numbers(tables, ids)
    if ids.column != UNIT and not any("{unit}" in template for template in ids.row_id):
        return tables

    def extended(table: Survey | None) -> Survey | None:
        if table is None or not table.has(ids.id[0]) or table.has(UNIT):
            return table
        source = table.table
        made = WithUnit(path=source.path, source=source, id=ids.id[0], row_id=ids.row_id)
        return survey(made)

    train = extended(tables.train)
    answers = train if tables.answers is tables.train else extended(tables.answers)
    sample, test = extended(tables.sample), extended(tables.test)
    return replace(tables, sample=sample, test=test, train=train, answers=answers)


def _with_numbers(tables: Tables, ids: Ids) -> Tables:
    """Return the tables of rows with a column for their number."""
    if tables.sample is None:
        return tables
    first = row_number.first_number(tables.sample, ids.id[0])

    def numbered(table: Survey | None) -> Survey | None:
        return survey(row_number.number(table, first)) if table else None

    train = numbered(tables.train)
    answers = train if tables.answers is tables.train else tables.answers
    return replace(tables, test=numbered(tables.test), train=train, answers=answers)


def _further(listing: Listing, names: Names, tables: Tables, unit: str, hidden: Hidden) -> Pairs:
    """Return further test tables that have the unit's column, with their counterparts."""
    if hidden.tables or hidden.is_filled or tables.test is None:
        return hidden.tables
    found = []
    for name in names.tests:
        if name == _name(tables.test) or unit not in open_table(listing.root / name).columns:
            continue
        found.append((name, roles.counterpart(name, names.trains)))
    return tuple(found)


def _name(table: Survey | None) -> str:
    return table.table.path.name if table else ""


def _submission(sample: str) -> str:
    # sample_submission.csv.zip is how Kaggle hands over a large csv file.
    name = PurePosixPath(sample)
    inner = PurePosixPath(name.stem).suffix if name.suffix == ".zip" else ""
    return f"submission{inner or name.suffix or '.csv'}"


def _notes(unknown: Sequence[str], tables: Tables, names: Names) -> list[str]:
    notes = []
    if tables.test is None and names.unread:
        notes.append(
            f"{', '.join(names.unread)} may hold the test rows, in a format that is not read here "
            "(csv, tsv, parquet and JSON lines are), and is handed over as it is. If the command "
            'reads it, write the hidden test by a hook: hidden = "package.module:function".'
        )
    if unknown and tables.test:
        notes.append(
            f"{', '.join(unknown)} of {_name(tables.test)} cannot be made from the training rows: "
            "values of the public test rows are used."
        )
    if tables.train is None:
        notes.append("There is no training table: the hidden test clones the public test rows.")
    return notes


def settings(hidden: Hidden) -> dict[str, Json]:
    """Return what `[tool.rsna-bundle.hidden]` holds: the keys that say something."""
    default = Hidden()
    found: dict[str, Json] = {}
    for entry in fields(Hidden):
        value = getattr(hidden, entry.name)
        if value == getattr(default, entry.name):
            continue
        table = entry.name in MAPPINGS
        found[entry.name] = {k: _plain(item) for k, item in value} if table else _plain(value)
    return found


def _plain(value: object) -> Json:
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]
