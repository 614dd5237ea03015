"""The notebook's image, played: the target's Python with what the runner takes from the image.

Packages that the runner imports are installed for real at the image's versions, and so is the
notebook's kernel; all others are hollow, so that the install meets them.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic, cache, process
from bundler.errors import CommandError, InputError
from bundler.image import interpreters, stub_packages
from bundler.image import target as targets
from bundler.image.target import Target

KERNEL = ("pip==24.1.2", "ipykernel==6.17.1")  # of Kaggle's image
TAKEN = ("numba",)  # what the runner makes use of where the image has it
VERSION = "import platform; print(platform.python_version())"


@dataclass(frozen=True, kw_only=True)
class Image:
    """The Python that plays the notebook's, and how far it is like the target's."""

    python: Path
    version: str
    unlike: tuple[str, ...] = ()  # what differs from the target, for people


def given(python: Path, target: Target) -> Image:
    """Return the image that a given Python is. It needs pip and ipykernel."""
    try:
        process.run([python, "-I", "-c", "import ipykernel, pip"])
    except CommandError as error:
        raise InputError(
            f"{python} cannot run the notebook: it needs pip and ipykernel. ({error})"
        ) from error
    return _described(python, target)


def play(target: Target, provided: Sequence[str]) -> Image:
    """Make (or find again) an environment with the packages `provided` (NAME==VERSION) for real.

    Where the target's Python is not on this machine, the host's plays it.
    """
    python = interpreters.find(target)
    if isinstance(python, str):
        return replace(play(targets.host(), ()), unlike=(python,))
    kernel = [_at_image_version(line, target) for line in KERNEL]
    wanted = [*kernel, *provided]
    # The host's own packages are not the notebook's: its Python plays others, too.
    there = target.packages if target.name != "host" else {}
    taken = [_at_image_version(name, target) for name in TAKEN if name in there]
    key = "\n".join([str(python.resolve()), target.digest, *wanted, *taken])
    place = cache.folder("images") / f"rehearsal-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    if not (place / "complete").is_file():
        # Made in its place, since a virtual environment's scripts name the folder they lie in.
        process.run([python, "-I", "-m", "venv", "--clear", "--without-pip", place])
        _install(place / "bin" / "python", wanted, taken, target)
        stub_packages.write_stub_dist_infos(_site(place / "bin" / "python"), target)
        atomic.write_text(place / "complete", "")
    return _described(place / "bin" / "python", target)


def _install(python: Path, wanted: Sequence[str], taken: Sequence[str], target: Target) -> None:
    """Install by uv, at the image's versions where the index has them; `taken` where it can."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    pins = cache.folder("images") / f"{target.digest[:24]}-constraints.txt"
    atomic.write_text(pins, "\n".join(stub_packages.constraints(target)) + "\n")
    environment = os.environ | {"UV_LINK_MODE": "copy"}
    pinned = ["--constraint", str(pins)]
    # The estimate of an image may hold versions that contradict each other.
    for words in ([*pinned, *wanted, *taken], [*wanted, *taken], wanted):
        try:
            process.run([*uv, *words], env=environment)
            return
        except CommandError as error:
            said = str(error)
    raise InputError(
        f"The notebook's kernel and the image's packages cannot be installed for the rehearsal "
        f"({', '.join(wanted)}): {said} This is needed once, with the network."
    )


def _at_image_version(line: str, target: Target) -> str:
    name = line.partition("==")[0]
    package = target.packages.get(name)
    return f"{name}=={package.version}" if package else line


def _described(python: Path, target: Target) -> Image:
    version = process.run([python, "-I", "-c", VERSION]).stdout.strip()
    unlike = []
    if version != target.python:
        unlike.append(f"Python {version} here, {target.python} there")
    libc = platform.libc_ver()[1]
    if target.system == "linux" and libc != target.release:
        unlike.append(f"glibc {libc} here, {target.release} there")
    return Image(python=python, version=version, unlike=tuple(unlike))


def _site(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(process.run([python, "-I", "-c", code]).stdout.strip())
