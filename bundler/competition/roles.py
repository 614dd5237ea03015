"""Which of a competition's tables is which: sample submission, test, training, labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bundler.competition import sample_file
from bundler.competition.columns import Survey, survey
from bundler.competition.listing import Listing
from bundler.competition.table import SUFFIXES, open_table
from bundler.errors import InputError
from bundler.hidden import Hidden

# Words of a name, not parts of them: "latest" is no test, "strain" no training.
TEST = re.compile(r"(?<![a-z])test(?!am)", re.IGNORECASE)
TRAIN = re.compile(r"(?<![a-z])train", re.IGNORECASE)
SAMPLE = re.compile(r"sample.?sub|submission|sub_?sample", re.IGNORECASE)
SAMPLE_SUFFIXES = (*SUFFIXES, ".json", ".zip")
UNREAD = (".json", ".xlsx", ".feather", ".h5", ".hdf5", ".npy", ".npz", ".pkl", ".pickle")
GATEWAY = "kaggle_evaluation"
NO_SAMPLE = (
    "{folder} holds no sample submission (a csv, tsv, parquet, json or zip file with "
    "'sample_submission' in its name). Download the competition's files again, or name the file: "
    "`rsna-bundle competition --set sample=FILE`."
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that is not certain: the key of the settings, what was taken, what else fits."""

    key: str
    taken: str
    others: tuple[str, ...]
    reason: str

    @property
    def text(self) -> str:
        """Return the question for people."""
        options = " or ".join((self.taken or "(nothing)", *self.others))
        return f"{self.key}: {options}? {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of a competition's folder, by what they seem to be."""

    samples: tuple[str, ...]
    tests: tuple[str, ...]
    trains: tuple[str, ...]
    others: tuple[str, ...]  # further tables
    folders: tuple[str, ...]
    gateway: bool
    unread: tuple[str, ...] = ()  # named as the test rows are, in a format that is not read


def sort(listing: Listing) -> Names:
    """Sort the names in the competition's folder by what they seem to be."""
    entries = listing.entries()
    # A folder named *.parquet is a partitioned table where it holds no column=value folders of ids.
    folders = [entry.name for entry in entries if entry.is_folder]
    files = [entry.name for entry in entries if not entry.is_folder]
    samples = [n for n in files if SAMPLE.search(n) and n.endswith(SAMPLE_SUFFIXES)]
    samples = [n for n in samples if n.removesuffix(".zip") not in files or n[-4:] != ".zip"]
    tables = [n for n in files if n.endswith(SUFFIXES) and n not in samples]
    tests = [name for name in tables if TEST.search(name) and not TRAIN.search(name)]
    trains = [name for name in tables if TRAIN.search(name)]
    return Names(
        samples=tuple(sorted(samples, key=lambda name: ("sample" not in name.lower(), name))),
        tests=tuple(sorted(tests, key=_length)),
        trains=tuple(sorted(trains, key=_length)),
        others=tuple(name for name in tables if name not in (*tests, *trains)),
        folders=tuple(name for name in folders if name != GATEWAY),
        gateway=GATEWAY in folders,
        unread=tuple(n for n in files if TEST.search(n) and n.endswith(UNREAD)),
    )


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables that matter, each with what its rows say; None where there is none."""

    sample_file: str
    sample: Survey | None
    test: Survey | None
    train: Survey | None
    answers: Survey | None  # where the labels are: `train`, or a table of its own
    questions: tuple[Question, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the sample submission."""
        return tuple(column.name for column in self.sample.columns) if self.sample else ()


def choose(listing: Listing, names: Names, hidden: Hidden) -> Tables:
    """Choose the tables and read their first rows. Raises InputError without a sample."""
    sample = hidden.sample or next(iter(names.samples), "")
    if not sample and not (hidden.hook or names.gateway):
        raise InputError(NO_SAMPLE.format(folder=listing.root))
    headers = _Headers(listing)
    shown = headers.sample(sample, hidden) if sample else None
    asked = tuple(column.name for column in shown.columns) if shown else ()
    test, train = hidden.test, hidden.train
    if not hidden.is_filled:
        test = test or _main(names.tests, asked, headers)
        train = train or counterpart(test, names.trains) or _main(names.trains, asked, headers)
    answers = hidden.label_table or _answers(train, test, asked, names, headers)
    read = {name: headers.survey(name) for name in (test, train, answers)}
    rivals = [
        name
        for name in names.samples[1:]
        if ("sample" in name.lower()) == ("sample" in sample.lower())
    ]
    doubt = Question(
        key="sample", taken=sample, others=tuple(rivals), reason="Several look like the sample."
    )
    return Tables(
        sample_file=sample,
        sample=shown,
        test=read[test],
        train=read[train],
        answers=read[answers],
        questions=(doubt,) if rivals and not hidden.sample else (),
    )


@dataclass(frozen=True)
class _Headers:
    listing: Listing

    def of(self, name: str) -> tuple[str, ...]:
        """Return a table's columns; () where it has none."""
        return open_table(self.listing.root / name).columns if name.endswith(SUFFIXES) else ()

    def sample(self, name: str, hidden: Hidden) -> Survey | None:
        """Return what the sample's rows say; None where only a hook knows what they are."""
        try:
            return survey(sample_file.read(self.listing.root / name, hidden.id))
        except InputError:
            if hidden.hook:
                return None
            raise

    def survey(self, name: str) -> Survey | None:
        """Return what a table's rows say; None where it is no table."""
        return survey(open_table(self.listing.root / name)) if name.endswith(SUFFIXES) else None


def _main(candidates: Sequence[str], asked: Sequence[str], headers: _Headers) -> str:
    """Return the table that shares most with the sample's columns, the shortest name first."""
    return max(candidates, key=lambda name: len(set(headers.of(name)) & set(asked[:2])), default="")


def _answers(train: str, test: str, asked: Sequence[str], names: Names, headers: _Headers) -> str:
    """Return the table with the labels: the training table, unless another has what is asked."""
    if not train:
        return ""
    own, shown = set(headers.of(train)), set(headers.of(test))
    targets = set(asked) - shown
    if own & targets or (own - shown and not test):
        return train
    for name in names.trains:
        columns = set(headers.of(name))
        if columns & own and (columns & targets or not own - shown):
            return name
    return train


def _length(name: str) -> tuple[int, str]:
    # The shortest name is the main table: test.csv before test_series_descriptions.csv.
    return len(name), name


def counterpart(name: str, among: Sequence[str]) -> str:
    """Return the training table or folder that a test one corresponds to, or ""."""
    swapped = TEST.sub("train", name)
    return next((other for other in among if other.lower() == swapped.lower()), "")


def neutral(name: str) -> str:
    """Return a name or template without what says that it is of the test or training set."""
    return TRAIN.sub("*", TEST.sub("*", name)).lower()
