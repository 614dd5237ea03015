"""Is it a submission at all? What Kaggle would refuse, and what would be scored for nothing."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.competition import list_values, submission_file, zip_rows
from bundler.competition.check import Check, listed, verdict
from bundler.competition.columns import EMPTY, INTEGER, NUMBER, RUN_LENGTHS, Column
from bundler.competition.profile import Profile
from bundler.competition.row_ids import WithUnit
from bundler.competition.submission_file import Submission
from bundler.errors import InputError

SHOWN = 3
TEXTS = ("string", "large_string", "string_view")  # types of a parquet file's columns
ENOUGH = 20  # rows: fewer may truly have the same class
Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a submission must hold."""

    profile: Profile
    ids: Sequence[str]
    labels: Labels  # of the ids where they are known

    @property
    def columns(self) -> list[str]:
        """Return the columns in the sample's order."""
        sample = self.profile.sample
        own = [*self.profile.hidden.id, *self.profile.hidden.targets]
        if sample is None:
            return own
        table = sample.table  # of the file, which has no column for the unit besides
        return list(table.source.columns if isinstance(table, WithUnit) else table.columns)


def check(working: Path, expected: Expected) -> tuple[list[Check], Submission | None]:
    """Return the checks of the submission in a folder, and the submission if it can be read."""
    name = expected.profile.hidden.submission
    path = working / name
    if not path.is_file():
        message = f"{name} was not written{_elsewhere(working, name)} ({NOT_FOUND})."
        return [Check(name=name, status="failed", message=message)], None
    try:
        found = submission_file.read(path, expected.profile.hidden.id)
    except InputError as error:
        return [Check(name=name, status="failed", message=str(error))], None
    size = f"{len(found.rows)} rows, {path.stat().st_size:,} bytes"
    done = [Check(name=name, status="passed", message=size)]
    if expected.profile.sample is None and path.suffix in (".json", ".zip"):
        # Only the ids are known: a hook wrote a sample whose rows cannot be read.
        ids = list(_ids(found.ids(found.columns[:1]), expected.ids, []))
        return [*done, verdict("ids", ids, f"all {len(expected.ids)}, once each")], found
    problems = list(_columns(found, expected.columns))
    done.append(verdict("columns", problems, ", ".join(expected.columns)))
    if set(expected.columns) <= set(found.columns):
        done += _contents(found, expected)
    return done, found


NOT_FOUND = "Submission File Not Found on Kaggle"


def _contents(found: Submission, expected: Expected) -> list[Check]:
    hidden = expected.profile.hidden
    problems = list(_ids(found.ids(hidden.id), expected.ids, _number_kinds(found, hidden.id)))
    done = [verdict("ids", problems, f"all {len(expected.ids)}, once each")]
    bad = [line for name in hidden.targets for line in _values(found, name, expected.profile)]
    done.append(verdict("values", bad, f"no gap in {', '.join(hidden.targets[:5])}"))
    doubts = [line for n in hidden.targets for line in _doubts(found, n, expected)]
    if doubts and not bad:
        done.append(Check(name="range", status="unproven", message="\n".join(doubts)))
    if not bad:
        done += _worth(found, expected)
    return done


def _elsewhere(working: Path, name: str) -> str:
    """Say where a file is that was perhaps meant."""
    stem = name.partition(".")[0].lower()
    near = [p for p in sorted(working.rglob("*")) if p.is_file() and stem in p.name.lower()]
    return f", but {near[0].relative_to(working)} was" if near else ""


def _columns(found: Submission, wanted: Sequence[str]) -> Iterator[str]:
    if list(found.columns) == list(wanted):
        return
    extra = [name for name in found.columns if name not in wanted]
    missing = [name for name in wanted if name not in found.columns]
    if not extra and not missing:
        yield f"The columns are in another order: {_some(found.columns)}; {_some(wanted)} is asked."
        return
    index = any(name == "" or name.startswith(("Unnamed", "__index_level")) for name in extra)
    reason = " An unnamed column is pandas' index: write with index=False." if index else ""
    if missing:
        yield f"Columns are missing: {_some(missing)}; it has {_some(found.columns)}."
    if extra:
        yield f"Columns that are not asked for: {_some(extra)}.{reason}"


def _ids(found: Sequence[str], wanted: Sequence[str], kinds: Sequence[str]) -> Iterator[str]:
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        yield f"{len(twice)} ids occur more than once: {_some(twice)}"
    known, asked = set(found), set(wanted)
    missing = [name for name in wanted if name not in known]
    unknown = list(dict.fromkeys(name for name in found if name not in asked))
    reason = _reason(missing, unknown, kinds)
    if missing:
        yield f"{len(missing)} of {len(wanted)} ids are missing: {_some(missing)}{reason}"
    if unknown:
        yield f"{len(unknown)} ids are not in the sample submission: {_some(unknown)}{reason}"


def _reason(missing: Sequence[str], unknown: Sequence[str], kinds: Sequence[str]) -> str:
    """Say why ids may differ: numbers of text, text of numbers."""
    lost = {name.lstrip("0") for name in missing if name.startswith("0")}
    if lost & {*unknown, *(name.removesuffix(".0") for name in unknown)}:
        return ". Leading zeros were lost: read ids as text (dtype=str)."
    if {f"{name}.0" for name in missing} & set(unknown):
        return ". Ids became numbers with fractions: read them as text (dtype=str)."
    if {name.strip() for name in unknown} & set(missing):
        return ". There are spaces around the ids."
    return f". They are stored as {kinds[0]}." if kinds and unknown else "."


def _number_kinds(found: Submission, names: Sequence[str]) -> list[str]:
    return [found.kinds[name] for name in names if found.kinds.get(name, "string") != "string"]


# --- values ---


def _values(found: Submission, name: str, profile: Profile) -> Iterator[str]:
    """Yield what no metric could read in a column."""
    column = target_column(profile, name)
    pairs = list(zip(found.ids(profile.hidden.id), found.values(name), strict=True))
    numeric = column is not None and column.kind in ("integer", "number", "boolean")
    sample = profile.sample.values(name) if profile.sample and profile.sample.has(name) else []
    if not numeric and list_values.are_lists(sample):
        yield from list_values.problems(name, pairs, sample)
        return
    if column is not None and column.kind == "run lengths":
        masks = [i for i, value in pairs if value and not RUN_LENGTHS.fullmatch(value)]
        if masks:
            yield f"{name}: {len(masks)} are no run lengths (pairs of numbers): {_some(masks)}"
        return
    empty = [i for i, value in pairs if value in EMPTY]
    if empty and (numeric or any(value not in ("",) for _, value in pairs if value in EMPTY)):
        yield f"{name}: {len(empty)} values are missing (NaN): {_some(empty)}"
    if not numeric:
        return
    if (kind := found.kinds.get(name, "")) in TEXTS:
        yield (
            f"{name} is stored as text ({kind}), though its values are numbers: a metric that "
            "reads the file cannot compare them. Write numbers, as by float(…)."
        )
    infinite = [i for i, value in pairs if value.strip("+-").lower() in ("inf", "infinity")]
    if infinite:
        yield f"{name}: {len(infinite)} values are infinite: {_some(infinite)}"
    flags = ("True", "False", "true", "false")
    wrong = [
        i
        for i, value in pairs
        if value not in EMPTY and not NUMBER.fullmatch(value) and value not in flags
    ]
    if wrong:
        yield f"{name}: {len(wrong)} values are no numbers: {_some(wrong)}"


def _doubts(found: Submission, name: str, expected: Expected) -> Iterator[str]:
    """Yield what training labels never were; it may be right, so it is a warning."""
    column, values = label_column(expected.profile, name), found.values(name)
    numbers = [float(value) for value in values if NUMBER.fullmatch(value)]
    own = target_column(expected.profile, name)
    whole = own is not None and own.kind == "integer" and (not column or column.kind == "integer")
    # Of two classes, 0 and 1, a fraction is a probability.
    binary = column is not None and set(column.values) == {"0", "1"}
    two = binary and all(0 <= number <= 1 for number in numbers)
    if whole and not two and any(value and not INTEGER.fullmatch(value) for value in values):
        example = next(value for value in values if not INTEGER.fullmatch(value))
        yield (
            f"{name}: the sample has whole numbers, the submission {example}: right for "
            "probabilities, wrong for classes."
        )
    if column is None:
        return
    if column.kind == "text" and column.is_category:
        if new := sorted(set(values) - set(column.values)):
            yield f"{name}: {_some(new)} is none of the training labels ({_some(column.values)})."
    elif column.low is not None and column.high is not None and numbers:
        low, high = min(numbers), max(numbers)
        # A probability of a class 3 lies in [0, 1], whatever the classes' numbers are.
        if low < min(column.low, 0.0) or high > max(column.high, 1.0):
            yield (
                f"{name}: values go from {low:g} to {high:g}, the training labels from "
                f"{column.low:g} to {column.high:g}."
            )


def target_column(profile: Profile, name: str) -> Column | None:
    """Return what is known of a target: the training label's kind, else the sample's."""
    known, sample = label_column(profile, name), profile.sample
    own = sample.column(name) if sample and sample.has(name) else None
    # A mask or a list of attempts stands for a label that is a number in the training table.
    is_opaque = known is not None and own is not None and own.kind in ("text", "list")
    if known is None or known.kind == "empty" or (is_opaque and known.name != name):
        return own
    return known


def label_column(profile: Profile, name: str) -> Column | None:
    """Return the training column that a target predicts, where that is plain."""
    table, labels = profile.answers, profile.hidden.labels
    if table is None:
        return None
    if table.has(name) and name in labels:
        return table.column(name)
    alone = len(labels) == 1 and len(profile.hidden.targets) == 1 and table.has(labels[0])
    if name == zip_rows.FILE:
        return None
    return table.column(labels[0]) if alone else None


# --- worth ---


def _worth(found: Submission, expected: Expected) -> Iterator[Check]:
    """Say whether the answers are answers: not one value for all, not the sample's own."""
    hidden, sample = expected.profile.hidden, expected.profile.sample
    answers = list(found.answers(hidden.id, hidden.targets).values())
    if len(answers) < 2 or not hidden.targets:
        return
    default = set()
    if sample is not None and sample.examples:
        default = {tuple(_plain(str(sample.examples[0].get(n) or "")) for n in hidden.targets)}
    plain = [tuple(map(_plain, answer)) for answer in answers]
    if len(set(plain)) > 1:
        different = f"{len(set(plain))} different answers to {len(answers)} rows"
        yield Check(name="constant", status="passed", message=different)
        return
    truth = {tuple(known.values()) for known in expected.labels.values()}
    # All of one class is possible where classes are rare; all of one probability is not.
    sure = any(_fraction(value) for value in plain[0]) or (
        len(answers) >= ENOUGH and len(truth) > 1
    )
    copied = "the sample submission's own" if set(plain) == default else "a constant"
    shown = listed(answers[0]) or "empty"
    message = f"All {len(answers)} rows are {shown}: {copied}, not a model's answers."
    yield Check(name="constant", status="failed" if sure else "unproven", message=message)


def _plain(value: str) -> str:
    return f"{float(value):.9g}" if NUMBER.fullmatch(value) else value


def _fraction(value: str) -> bool:
    return bool(re.fullmatch(NUMBER, value)) and not math.isclose(float(value) % 1, 0)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (" …" if len(names) > SHOWN else "")
