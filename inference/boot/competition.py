"""The competition's folder, wherever it is mounted."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from inference.boot.manifest import MANIFEST
from inference.errors import InputError, UsageError

DEPTHS = ("*", "competitions/*", ".")  # <slug>/, competitions/<slug>/, or the input itself
GATEWAY = "kaggle_evaluation"  # the package of competitions that call the notebook's server
TEST = re.compile(r"test\.(csv|tsv|parquet|jsonl)")
# sample_submission.csv, stage_2_sample_submission.csv, SampleSubmission.csv, submission_sample.csv
SAMPLE = re.compile(r".*(sample.?sub|sub_?sample|submission.?sample).*", re.IGNORECASE)
KINDS = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".zip")  # of a submission
ANY = (".csv", ".parquet", ".zip", ".json")  # that Kaggle takes
MOST_ENTRIES = 10_000  # of a folder: one with more holds files of rows beside no table we know


def find(root: Path, slug: str | None = None) -> Path:
    """Return the competition's folder below `root`: the one of this name, or the only one.

    Raises InputError where there is none, UsageError where there are several.
    """
    folders = list(dict.fromkeys(_candidates(root)))
    chosen = [folder for folder in folders if slug in (None, folder.name)]
    if slug and not chosen:  # a competition that looks like no other is known by its name
        chosen = [path for path in (root / "competitions" / slug, root / slug) if path.is_dir()][:1]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(str(folder) for folder in folders) or "none"
    if not chosen:
        raise InputError(
            f"No competition {f'named {slug} ' if slug else ''}is mounted below {root} (folders "
            f"with a test.csv or a sample submission: {listed}). Add the competition to the "
            "notebook's input, or name it with --competition."
        )
    raise UsageError(f"Several competitions are mounted: {listed}. Choose one with --competition.")


def has_gateway(folder: Path) -> bool:
    """Say whether the competition calls a server of the notebook's instead of reading a file."""
    return (folder / GATEWAY).is_dir()


def submission_suffixes(folder: Path) -> tuple[str, ...]:
    """Return the endings a submission file may have: the sample's, or any that Kaggle takes."""
    samples = sorted(name for name in _names(folder) if _is_sample(name))
    return tuple(dict.fromkeys(s for n in samples for s in _suffixes(n))) or ANY


def _suffixes(sample: str) -> tuple[str, ...]:
    """Return the endings that fit a sample: an archive of one table may be that table, too."""
    path = Path(sample)
    if path.suffix != ".zip":
        return (path.suffix,)
    return (Path(path.stem).suffix or ".zip", ".zip", ".csv")


def _candidates(root: Path) -> Iterator[Path]:
    for depth in DEPTHS:
        for folder in [root] if depth == "." else sorted(root.glob(depth)):
            # An upload may have unpacked a code bundle, which holds anything.
            is_bundle = (folder / MANIFEST).is_file()
            if not is_bundle and any(map(_is_sign, _names(folder))):
                yield folder


def _names(folder: Path) -> Iterator[str]:
    """Yield the names in a folder, as they come: the first sign is enough."""
    try:
        with os.scandir(folder) as scan:
            for entry, _ in zip(scan, range(MOST_ENTRIES), strict=False):
                yield entry.name
    except OSError:  # a file, or a folder that cannot be entered
        return


def _is_sign(name: str) -> bool:
    return bool(TEST.fullmatch(name)) or name == GATEWAY or _is_sample(name)


def _is_sample(name: str) -> bool:
    return bool(SAMPLE.fullmatch(name)) and name.endswith(KINDS)
