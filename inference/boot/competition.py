"""The competition's folder, wherever it is mounted."""

from collections.abc import Iterator
from pathlib import Path

from inference.boot.manifest import MANIFEST
from inference.errors import InputError, UsageError

DEPTHS = ("*", "competitions/*", ".")  # <slug>/, competitions/<slug>/, or the input itself
GATEWAY = "kaggle_evaluation"  # the package of competitions that call the notebook's server
SIGNS = ("test.csv", "sample_submission.*", GATEWAY)


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
    samples = sorted(path.suffix for path in folder.glob("sample_submission.*"))
    return tuple(dict.fromkeys(samples)) or (".csv", ".parquet", ".zip", ".json")


def _candidates(root: Path) -> Iterator[Path]:
    for depth in DEPTHS:
        for folder in [root] if depth == "." else sorted(root.glob(depth)):
            # An upload may have unpacked a code bundle, which holds anything.
            is_bundle = (folder / MANIFEST).is_file()
            if not is_bundle and any(next(folder.glob(sign), None) for sign in SIGNS):
                yield folder
