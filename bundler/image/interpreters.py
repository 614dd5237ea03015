"""Find the target's Python on this machine: on the path, in pyenv, in uv's folder."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundler import process
from bundler.errors import CommandError, InputError
from bundler.image.target import Target


class NoInterpreterError(InputError):
    """No Python on this machine runs the target's wheels; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python on this machine."""

    path: Path
    version: str  # 3.13.15


def find(target: Target) -> Interpreter:
    """Return an interpreter that runs the target's wheels. Raises NoInterpreterError."""
    if target.system != sys.platform or target.machine != platform.machine():
        raise NoInterpreterError(
            f"This machine is {sys.platform} {platform.machine()}, and the target is "
            f"{target.system} {target.machine}."
        )
    libc = platform.libc_ver()[1]
    if target.system == "linux" and _numbers(libc) < _numbers(target.release):
        raise NoInterpreterError(
            f"This machine has glibc {libc}, and wheels for the target need {target.release}."
        )
    if interpreter := of_version(target.short_python):
        return interpreter
    raise NoInterpreterError(
        f"Python {target.short_python} is not on this machine. Install it with "
        f"`uv python install {target.short_python}`."
    )


def of_version(short: str) -> Interpreter | None:
    """Return an interpreter of a Python such as `3.13`, or None where this machine has none."""
    for candidate in _candidates(short):
        # pyenv's shims may not start, or start another Python than their name says.
        version = _version(candidate)
        if version and version.split(".")[:2] == short.split("."):
            return Interpreter(path=candidate, version=version)
    return None


def this() -> Interpreter:
    """Return the interpreter that runs this."""
    return Interpreter(path=Path(sys.executable), version=platform.python_version())


def read(python: Path) -> Interpreter:
    """Return the interpreter at a path. Raises InputError where it does not start."""
    if version := _version(python):
        return Interpreter(path=python, version=version)
    raise InputError(f"{python} does not start as a Python interpreter.")


def _candidates(short: str) -> Iterator[Path]:
    name = f"python{short}"
    if platform.python_version_tuple()[:2] == tuple(short.split(".")):
        yield Path(sys.executable)
    if on_path := shutil.which(name):
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    # Newest first, by name: 3.13.9 before 3.13.10, which is close enough among patch releases.
    for folder in (pyenv, managed):
        yield from sorted(folder.glob(f"*/bin/{name}"), reverse=True)


def _version(python: Path) -> str | None:
    code = "import platform; print(platform.python_version())"
    try:
        result = process.run([python, "-I", "-c", code], check=False)
    except CommandError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
