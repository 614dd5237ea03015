"""Does the code name files of the laptop?"""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bundler.snapshot import TREE
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.errors import BundleError

LAPTOP = re.compile(r"""["'](?P<path>(?:/home/[^/"']+|/Users/[^/"']+|[A-Z]:\\\\?Users)[^"'\n]*)""")
SOURCES = (".py", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
ELSEWHERE = ("tests/", "docs/")  # not run on the notebook


def of_laptop(code: Bundle) -> Iterator[str]:
    """Yield where the tree of a code bundle names an absolute path, or mixes up names by case."""
    file = next((file for file in code.files if file.name == TREE), None)
    if file is None:
        return
    try:
        tree = _read(reader.locate(code.folder, file))
    except (BundleError, OSError, zipfile.BadZipFile, tarfile.TarError):
        return  # the check of the bundles says so
    by_lower: dict[str, str] = {}
    for name, text in tree.items():
        other = by_lower.setdefault(name.lower(), name)
        if other != name:
            yield f"{other} and {name} differ in upper and lower case alone: a laptop may mix them."
        if name.endswith(SOURCES) and not name.startswith(ELSEWHERE):
            for match in LAPTOP.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield (
                    f"{name}:{line} names {match['path']}, an absolute path of the laptop: it does "
                    "not exist on Kaggle. Take paths from --input and the bundles."
                )


def _read(path: Path) -> dict[str, str]:
    """Return the text of each source file in the archive, by its name; others are empty."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.removeprefix("tree/"): archive.read(name).decode("utf-8", errors="replace")
            if name.endswith(SOURCES)
            else ""
            for name in archive.namelist()
        }
