"""Find the target's Python on this machine: on the path, in pyenv, in uv's folder."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bundler import process
from bundler.errors import CommandError
from bundler.image.target import Target


def find(target: Target) -> Path | str:
    """Return an interpreter that runs the target's wheels, or why there is none."""
    if target.system != sys.platform or target.machine != platform.machine():
        return f"this machine is {sys.platform} {platform.machine()}, the target {target.system}"
    here = platform.libc_ver()[1]
    if target.system == "linux" and _numbers(here) < _numbers(target.release):
        return f"this machine has glibc {here}, the target {target.release}"
    for candidate in _candidates(target):
        if _runs(candidate, target.short_python):
            return candidate
    return (
        f"Python {target.short_python} is not on this machine; install it "
        f"(`uv python install {target.short_python}`) to have the bundle tried"
    )


def _candidates(target: Target) -> Iterator[Path]:
    name = f"python{target.short_python}"
    if platform.python_version_tuple()[:2] == tuple(target.python.split(".")[:2]):
        yield Path(sys.executable)
    if found := shutil.which(name):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder in (pyenv, managed):
        yield from sorted(folder.glob(f"*/bin/{name}"), reverse=True)


def _runs(candidate: Path, python: str) -> bool:
    """Say whether a candidate starts and is that Python; pyenv's shims may do neither."""
    code = "import platform; print('.'.join(platform.python_version_tuple()[:2]))"
    try:
        result = process.run([candidate, "-I", "-c", code], check=False)
    except CommandError:
        return False
    return result.returncode == 0 and result.stdout.strip() == python


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
