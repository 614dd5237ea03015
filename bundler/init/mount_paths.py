"""Where an adopted script finds its files: mount paths that are written into it, and what is there.

Kaggle mounts a competition in one of two layouts, and of datasets a notebook has its bundles alone.
"""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundler.rehearse.run.layout import INPUT, LAYOUTS
from bundler.settings import Settings

KINDS = ("libs", "model", "code")
VARIABLES = {"competition": "RSNA_BUNDLE_COMPETITION", "model": "RSNA_BUNDLE_MODEL"}
# As it is written absolutely, and relative to /kaggle/working, where the command is started.
MOUNTED = re.compile(rf"""(?:{INPUT}|\.\./input)(?P<below>/[^"'`\s,;()\\]*)?""")
SOURCES = (".py", ".sh", ".yaml", ".yml", ".toml", ".json")
OURS = ("pyproject.toml", "kernel-metadata.json", "dataset-metadata.json")
SKIPPED = ("dist", "node_modules", "venv", "tests", "docs")  # and whatever begins with a dot
MOST_ENTRIES = 1000  # of a folder that is looked through
MOST_FILES = 2000  # that are looked into: a repository, not a data set
LARGEST = 1 << 20  # bytes of a file that somebody wrote
SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Named:
    """A mount path in a file of the repository."""

    file: str
    line: int
    path: str  # as the notebook sees it: below /kaggle/input


def notes(settings: Settings, script: str) -> Iterator[str]:
    """Yield what is true of a script: how it finds its files, or which of its paths lead nowhere.

    `script` is relative to the root; all that lies beside it is looked at, too.
    """
    named = list(find(settings.root))
    if not named:
        yield _without_paths(settings.root / script)
    for one in named[:SHOWN]:
        yield f"{one.file}:{one.line} names {one.path}: {_advice(one.path, settings)}"
    if len(named) > SHOWN:
        yield f"{len(named) - SHOWN} more mount paths are written into the files."


def find(root: Path) -> Iterator[Named]:
    """Yield the mount paths in a repository's files, each file's paths once."""
    for number, path in enumerate(_sources(root)):
        if number == MOST_FILES:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        seen = set[str]()
        for match in MOUNTED.finditer(text):
            mounted = INPUT + (match["below"] or "").rstrip("/.")
            if mounted not in seen:
                seen.add(mounted)
                line = text.count("\n", 0, match.start()) + 1
                yield Named(file=path.relative_to(root).as_posix(), line=line, path=mounted)


def _sources(folder: Path) -> Iterator[Path]:
    """Yield the files that somebody wrote; a folder with very many entries holds data."""
    with os.scandir(folder) as scan:
        entries = sorted(itertools.islice(scan, MOST_ENTRIES + 1), key=lambda entry: entry.name)
    if len(entries) > MOST_ENTRIES:
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if entry.name[0] != "." and entry.name not in SKIPPED:
                yield from _sources(path)
        elif _is_source(path):
            yield path


def _is_source(path: Path) -> bool:
    is_named_so = path.name.endswith(SOURCES) and path.name not in OURS
    return is_named_so and path.is_file() and path.stat().st_size <= LARGEST


def _without_paths(script: Path) -> str:
    text = script.read_text(encoding="utf-8", errors="replace") if script.is_file() else ""
    if VARIABLES["competition"] in text:
        return "It finds the competition's files by RSNA_BUNDLE_COMPETITION."
    return (
        "It names no folder below /kaggle/input. Let it read the competition's files from "
        'os.environ["RSNA_BUNDLE_COMPETITION"] and its weights from '
        'os.environ["RSNA_BUNDLE_MODEL"]: where these lie is known on the notebook only.'
    )


def _advice(path: str, settings: Settings) -> str:
    """Return what lies at a mount path, in which of Kaggle's layouts, and what to write instead."""
    for what in ("competition", *KINDS):
        layouts = [
            layout.name
            for layout in LAYOUTS.values()
            if _is_below(path, layout.mounts(settings, KINDS)[what])
        ]
        if layouts:
            return _by_layout(what, layouts)
    if path == INPUT:
        return (
            'both layouts have it, but not the same folders in it. Take os.environ["'
            'RSNA_BUNDLE_COMPETITION"] for the competition.'
        )
    return (
        "the notebook mounts no such dataset. Bundle what the code needs of it by `rsna-bundle "
        'model --files PATH`, and take os.environ["RSNA_BUNDLE_MODEL"].'
    )


def _by_layout(what: str, layouts: list[str]) -> str:
    name = "the competition" if what == "competition" else f"the {what} bundle"
    is_alone = len(layouts) < len(LAYOUTS)
    where = (
        f"only Kaggle's {layouts[0]} layout has {name} there" if is_alone else f"{name} is there"
    )
    if what not in VARIABLES:
        return f"{where}, packed. Its content is importable without a path."
    packed = ", its files under other names" if what == "model" else ""
    return f'{where}{packed}. Take os.environ["{VARIABLES[what]}"], which both layouts have.'


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
