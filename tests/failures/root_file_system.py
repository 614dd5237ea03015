"""A small root file system of what this machine has: a Python that can run notebooks, and a shell.

It stands for the notebook's image where an engine can run containers, but fetches none.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

PREFIX = "opt/python"
PACKAGES = ("ipykernel", "nbclient", "pip")  # as Kaggle's image has them


def write(root: Path) -> None:
    """Write the root file system to a folder, of copies: no container reaches the originals."""
    for name in ("usr/bin", "lib64", "etc", "tmp", "proc", "sys", "dev", "root", PREFIX):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    stdlib = Path(sysconfig.get_path("stdlib"))
    lib = root / PREFIX / "lib" / stdlib.name
    skipped = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__")
    shutil.copytree(stdlib, lib, symlinks=True, ignore=skipped)
    for name in closure(PACKAGES):
        for file in distribution(name).files or ():
            source, target = Path(str(file.locate())), lib / "site-packages" / file
            kept = ".." not in file.parts and "__pycache__" not in file.parts
            if source.is_file() and kept:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    python = root / PREFIX / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    python.parent.mkdir()
    shutil.copy2(Path(sys.executable).resolve(), python)
    (root / "usr/bin/python3").symlink_to(f"/{python.relative_to(root)}")
    shutil.copy2(Path("/bin/sh").resolve(), root / "usr/bin/sh")
    for library in needed([python, root / "usr/bin/sh", *root.rglob("*.so")]):
        target = root / str(library).lstrip("/")
        # The loader looks in few folders without a list (ld.so.cache).
        if not str(library).startswith(("/lib/", "/lib64/", "/usr/lib/")):
            target = root / "lib" / library.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(library, target)


def closure(names: Iterable[str]) -> set[str]:
    """Return some installed packages and those that they need."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in distribution(name).requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                todo.append(need.name)
    return seen


def needed(files: Iterable[Path]) -> set[Path]:
    """Return the libraries that programs and libraries need, as the loader finds them."""
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    return {Path(name) for name in re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE)}
