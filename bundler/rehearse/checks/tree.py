"""The source files of the code bundle, read once for all checks that look into them."""

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bundler.snapshot import TREE
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.errors import BundleError

SOURCES = (".py", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
ELSEWHERE = ("tests/", "docs/")  # not run on the notebook


def read(code: Bundle) -> Mapping[str, str]:
    """Return the text of each source file of the tree by its name; of others an empty one."""
    file = next((file for file in code.files if file.name == TREE), None)
    if file is None:
        return {}
    try:
        return _read(reader.locate(code.folder, file))
    except (BundleError, OSError, zipfile.BadZipFile, tarfile.TarError):
        return {}  # the check of the bundles says so


def runs(name: str) -> bool:
    """Say whether a file of the tree is source that the notebook may run or read."""
    return name.endswith(SOURCES) and not name.startswith(ELSEWHERE)


def _read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {
            name.removeprefix("tree/"): archive.read(name).decode("utf-8", errors="replace")
            if name.endswith(SOURCES)
            else ""
            for name in archive.namelist()
        }
