"""Templates such as `test_images/{patient_id}/{image_id}.dcm` or `{study_id}_{level}`."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from bundler.competition.table import Cell, Row, text
from bundler.errors import InputError

FIELD = re.compile(r"\{([^{}]+)\}")
SEPARATORS = "_-/ .:|"
MOST = 500  # templates that are tried for one value


def fields(template: str) -> tuple[str, ...]:
    """Return the columns that a template names, in order."""
    return tuple(FIELD.findall(template))


def render(template: str, row: Mapping[str, Cell]) -> str:
    """Fill a template with a row's values. Raises InputError where it lacks a column."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in row:
            raise InputError(f"The template {template} names {match[1]}, which no column is.")
        return text(row[match[1]])

    return FIELD.sub(value, template)


def parse(template: str, value: str) -> dict[str, str] | None:
    """Return the columns' values that make a template the given text, or None."""
    return _parse(template, value, ".+")


def parse_path(template: str, path: str, deep: Collection[str] = ()) -> dict[str, str] | None:
    """Return the columns' values of a file that a template of paths covers, or None.

    A value is one part of a path, or several of a column that is `deep`; `*` is any name, and a
    slash at the end any file below.
    """
    return _parse(template, path, "[^/]+", deep)


def _parse(
    template: str, value: str, anything: str, deep: Collection[str] = ()
) -> dict[str, str] | None:
    pieces, last = [], 0
    for match in FIELD.finditer(template):
        own = ".+" if match[1] in deep else anything
        pieces += [_literal(template[last : match.start()]), f"({own})"]
        last = match.end()
    rest = template[last:]
    pieces += [_literal(rest.removesuffix("/")), "/.+" if rest.endswith("/") else ""]
    matched = re.fullmatch("".join(pieces), value)
    return dict(zip(fields(template), matched.groups(), strict=True)) if matched else None


def _literal(text: str) -> str:
    return re.escape(text).replace(r"\*", "[^/]*")


def infer(
    values: Sequence[str], rows: Sequence[Row], columns: Collection[str], *, literal: bool = True
) -> str | None:
    """Return the template over columns that gives each row its value, or None.

    `literal` allows text that is no column's value. Where several fit, the one with the least of
    such text, then with the fewest columns, is taken.
    """
    if not values or not values[0]:
        return None
    # One row may fit by chance what another refutes: candidates come from the first, all must fit.
    candidates = [
        template
        for template in _candidates(values[0], rows[0], columns)
        if fields(template) and (literal or not FIELD.sub("", template).strip(SEPARATORS))
    ]
    pairs = list(zip(values, rows, strict=True))
    fitting = [t for t in candidates if all(render(t, row) == value for value, row in pairs)]
    return min(fitting, key=_cost, default=None)


def _cost(template: str) -> tuple[int, int, str]:
    rest = FIELD.sub("", template)
    return sum(c not in SEPARATORS for c in rest), len(fields(template)), template


def _candidates(value: str, row: Row, columns: Collection[str]) -> Iterator[str]:
    """Yield templates that make `value` of this row: fields, separators, literal words."""
    options = [(name, text(row[name])) for name in columns if text(row[name])]
    count = 0
    pending: list[tuple[str, int]] = [("", 0)]
    while pending and count < MOST:
        template, at = pending.pop()
        if at == len(value):
            count += 1
            yield template
            continue
        if value[at] in SEPARATORS:
            pending.append((template + value[at], at + 1))
        elif at == 0 or value[at - 1] in SEPARATORS:
            pending.append((template + _word(value, at), at + len(_word(value, at))))
            # Fields last, so that they are tried first.
            pending += [
                (f"{template}{{{name}}}", at + len(known))
                for name, known in options
                if value.startswith(known, at) and _ends(value, at + len(known))
            ]


def _word(value: str, at: int) -> str:
    end = at
    while end < len(value) and value[end] not in SEPARATORS:
        end += 1
    return value[at:end]


def _ends(value: str, at: int) -> bool:
    return at == len(value) or value[at] in SEPARATORS
