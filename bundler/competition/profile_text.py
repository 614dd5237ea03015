"""The profile of a competition, as text for people."""

from collections.abc import Iterator, Sequence

from bundler.competition.columns import Survey
from bundler.competition.profile import Profile

SHOWN = 12  # names that a line lists


def describe(profile: Profile) -> str:
    """Return a line for each thing that was understood; what is uncertain comes last."""
    return "\n".join(_lines(profile))


def _lines(profile: Profile) -> Iterator[str]:
    hidden = profile.hidden
    source = "as the settings say" if profile.confirmed else "as its files suggest"
    yield f"{profile.title or profile.folder}, {source}:"
    if hidden.sample:
        yield _line("submission", f"{hidden.submission}, like {hidden.sample}")
        yield _line("", _kinds(profile.sample, (*hidden.id, *hidden.targets)))
    yield _line("id", _ids(hidden.id, hidden.row_id))
    for title, table in (("test", profile.test), ("train", profile.train)):
        yield _line(title, _table(table))
    if profile.answers is not None and profile.answers is not profile.train:
        yield _line("labels in", _table(profile.answers))
    yield _line("labels", _some(hidden.labels) or "none known")
    yield _line("unit", f"{hidden.unit} (rows of one stay together)" if hidden.unit else "")
    for name, template in hidden.derived:
        yield _line("derived", f"{name} = {template}")
    for name, values in hidden.repeat:
        yield _line("repeated", f"{name} = {_some(values)} for each unit")
    for test, train in hidden.tables:
        yield _line("also", f"{test}, in training {train or '(none)'}")
    for test, train in hidden.files:
        yield _line("files", test + (f", in training {train}" if train else ""))
    for template in hidden.label_files:
        yield _line("label files", template)
    if profile.gateway:
        yield from (_line(title, content) for title, content in profile.gateway.lines())
    elif hidden.gateway:
        yield _line("gateway", "kaggle_evaluation hands the rows over on the rerun")
    yield from (f"  note: {note}" for note in profile.notes)
    yield from (f"  uncertain: {question.text}" for question in profile.questions)


def _line(title: str, content: str) -> str:
    return f"  {title:<12}{content}".rstrip()


def _ids(columns: Sequence[str], row_id: Sequence[str]) -> str:
    made = f", made as {_some(row_id, 4)}" if row_id else ""
    return f"{', '.join(columns)}{made}"


def _table(table: Survey | None) -> str:
    if table is None:
        return "none"
    count = f"{table.rows:,}" if table.exact else f"about {table.rows:,}"
    names = [column.name for column in table.columns]
    return f"{table.table.path.name}, {count} rows: {_some(names)}"


def _kinds(table: Survey | None, names: Sequence[str]) -> str:
    if table is None:
        return "no table: only its format is known"
    return _some([f"{name} ({table.column(name).kind})" for name in names if table.has(name)])


def _some(names: Sequence[str], most: int = SHOWN) -> str:
    rest = f" … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
