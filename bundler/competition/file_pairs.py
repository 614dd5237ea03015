"""Which files of the test set correspond to which of the training set, and which show labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bundler.competition import file_templates, roles, templates
from bundler.competition.columns import Survey
from bundler.competition.listing import Listing
from bundler.competition.roles import Names, Question
from bundler.hidden import Hidden, Pairs

# Files that are named so beside the training images are the answers, where no test file shows it.
LABELLED = re.compile(r"mask|label|annot|segment|ground|target|gt(?![a-z])", re.IGNORECASE)
PROBED = 4  # test rows whose files are asked for in a folder that both sets share


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of rows, by templates."""

    pairs: Pairs = ()  # of test files → of the training files, "" where there are none
    label_files: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()


def match(
    listing: Listing, names: Names, test: Survey | None, train: Survey | None, hidden: Hidden
) -> Files:
    """Find the files that belong to rows. What the settings say of files stays as it is."""
    if hidden.is_filled or hidden.files:
        return Files(pairs=hidden.files, label_files=hidden.label_files)
    tests, trains, shared = _by_role(names)
    shown = [t for f in tests if test for t in file_templates.infer(listing, f, test)]
    learned = [t for f in trains if train for t in file_templates.infer(listing, f, train)]
    common = [t for f in shared if train for t in file_templates.infer(listing, f, train)]
    # A folder of both sets: its training template is the test's, too, if test rows have files.
    both = [t for t in common if test and _present(listing, t, test)]
    answers = [t for t in common if t not in both]
    pairs, rest = _pair([*shown, *both], [*learned, *both])
    if not pairs and not _any_files(listing, tests):
        pairs, rest = _expected(rest)
    return Files(
        pairs=pairs,
        label_files=tuple(sorted({*rest, *answers})),
        questions=tuple(_doubts(listing, test, tests, shown)),
        notes=tuple(_notes(listing, pairs, tests)),
    )


def _by_role(names: Names) -> tuple[list[str], list[str], list[str]]:
    """Return the folders of the test set, of the training set, and of neither."""
    trains = [name for name in names.folders if roles.TRAIN.search(name)]
    tests = [n for n in names.folders if roles.TEST.search(n) and n not in trains]
    return tests, trains, [n for n in names.folders if n not in (*tests, *trains)]


def _pair(shown: Sequence[str], learned: Sequence[str]) -> tuple[Pairs, list[str]]:
    """Return the pairs of templates, and those of the training set that are left."""
    pairs, left = [], list(dict.fromkeys(learned))
    for template in dict.fromkeys(shown):
        match = next((t for t in left if roles.neutral(t) == roles.neutral(template)), "")
        # train/{label}/{id}.png corresponds to test/{id}.png: the file's own name decides.
        match = match or next((t for t in left if _last(t) == _last(template)), "")
        if match:
            left.remove(match)
        pairs.append((template, match))
    return tuple(pairs), left


def _expected(learned: Sequence[str]) -> tuple[Pairs, list[str]]:
    """Return the pairs that a test set without files would have: those that show no label."""
    answers = [template for template in learned if LABELLED.search(template)]
    return (
        tuple((roles.TRAIN.sub("test", t), t) for t in learned if t not in answers),
        answers,
    )


def _last(template: str) -> str:
    return template.rpartition("/")[2]


def _present(listing: Listing, template: str, survey: Survey) -> bool:
    """Say whether some rows have a file by a template."""
    if not all(survey.has(name) for name in templates.fields(template)):
        return False
    rows = survey.examples[:PROBED]
    return any(file_templates.expand(listing, template, row) for row in rows)


def _any_files(listing: Listing, folders: Sequence[str]) -> bool:
    return any(listing.entries(folder) for folder in folders)


def _doubts(
    listing: Listing, test: Survey | None, folders: Sequence[str], shown: Sequence[str]
) -> list[Question]:
    """Ask about folders of test files whose names no row has."""
    doubts = []
    for folder in folders:
        entries = listing.entries(folder)
        if not entries or any(template.startswith(f"{folder}/") for template in shown):
            continue
        ids = [c for c in test.columns if file_templates.looks_like_id(c)] if test else []
        values = [f"{c.name} such as {test.values(c.name)[0]}" for c in ids if test and c.distinct]
        doubts.append(
            Question(
                key="files",
                taken="",
                others=tuple(f"{folder}/{{{c.name}}}{entries[0].suffix}" for c in ids[:3]),
                reason=f"{folder} holds {entries[0].name}, which no row names "
                f"({', '.join(values) or 'no column looks like an id'}).",
            )
        )
    return doubts


def _notes(listing: Listing, pairs: Pairs, tests: Sequence[str]) -> list[str]:
    return [
        f"No file of {test} is here; taken from {train}."
        for test, train in pairs
        if train and not _any_files(listing, tests) and test != train
    ]
