"""Packages without a fitting wheel: built here where they are pure Python.

A project of pure Python is the same on every machine, so a wheel that is built here fits the
target. One that compiles is not, and is refused, or shipped as it is (`--allow-sdist`).
"""

import os
import re
import sys
import tarfile
import tempfile
import textwrap
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from bundler import cache, process
from bundler.errors import InputError
from bundler.libs import wheels
from bundler.libs.index import downloads, releases, simple_api
from bundler.libs.index.sources import Sources, pip_connection
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel
from bundler.progress import SILENT, Progress

EPOCH = 315532800  # 1980-01-01, the first time that a zip can hold
TAIL = 8  # lines of a failed build's output that an error repeats
COMPILED = (".c", ".cc", ".cpp", ".cu", ".cxx", ".f", ".f90", ".pyx", ".rs")


class CompiledError(InputError):
    """An sdist of compiled code: a wheel built on this machine may not run on the notebook."""


@dataclass(frozen=True, kw_only=True)
class Sdist:
    """An sdist that was downloaded, as a pin of its own file."""

    pin: Pin
    path: Path

    @property
    def origin(self) -> str:
        """Return how a lock names it."""
        return f"{self.pin.file} {self.pin.sha256}"


def fetch(file: simple_api.File, name: str, sources: Sources, progress: Progress = SILENT) -> Sdist:
    """Download an sdist into the cache."""
    pin = releases.pin(name, file.version, file)
    return Sdist(pin=pin, path=downloads.fetch([pin], sources, progress)[pin.file])


def build(sdist: Sdist, sources: Sources) -> Path:
    """Return the wheel of an sdist of pure Python, built once. Raises CompiledError, InputError."""
    kept_in = cache.folder("built") / sdist.pin.sha256
    wheels = sorted(kept_in.glob("*.whl"))
    if wheels:
        return wheels[0]
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-build-") as folder:
        built = _build(sdist, sources, Path(folder))
        if any(tag.platform != "any" for tag in parse_wheel_filename(built.name)[3]):
            raise CompiledError(
                f"{sdist.pin.name} {sdist.pin.version} has no wheel that fits, and its sdist "
                f"contains compiled code (it became {built.name}), so a wheel built on this "
                "machine may not run on the notebook. Require a release with wheels, or ship the "
                "sdist, to be built there, with --allow-sdist."
            )
        kept_in.mkdir(parents=True, exist_ok=True)
        return _canonical(built, kept_in / built.name)


def _build(sdist: Sdist, sources: Sources, folder: Path) -> Path:
    """Run pip's isolated build (PEP 517)."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--quiet"]
    command += ["--disable-pip-version-check", "--wheel-dir", str(folder), str(sdist.path)]
    command += [f"--find-links={link}" for link in sources.links]
    if sources.indexes:
        command += [f"--index-url={sources.indexes[0]}"]
        command += [f"--extra-index-url={url}" for url in sources.indexes[1:]]
    else:
        command += ["--no-index"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    # Equal sources are to give equal bytes, whatever this machine's settings and clock.
    settings = {"PIP_CONFIG_FILE": os.devnull, "SOURCE_DATE_EPOCH": str(EPOCH)}
    result = process.run(command, env=kept | pip_connection() | settings, check=False)
    built = sorted(folder.glob("*.whl"))
    if result.returncode or len(built) != 1:
        what = "its sdist (of compiled code)" if compiles(sdist.path) else "its sdist"
        output = "\n".join(f"  {line}" for line in _end_of_output(result.stderr))
        raise CompiledError(
            f"{sdist.pin.name} {sdist.pin.version} has no wheel that fits, and {what} does not "
            f"build here:\n{output}\nRequire a release with wheels, or ship the sdist, to be "
            "built on the notebook, with --allow-sdist."
        )
    return built[0]


def _end_of_output(stderr: str) -> list[str]:
    """Return the last lines of what a build printed, without the frame that pip puts around it."""
    framed = re.findall(r"lines of output\]\n(.*?)\[end of output\]", stderr, re.DOTALL)
    return textwrap.dedent(framed[-1] if framed else stderr).strip().splitlines()[-TAIL:]


def _canonical(built: Path, path: Path) -> Path:
    """Write a wheel anew with sorted members and fixed times: equal content, equal bytes."""
    partial = path.with_suffix(f".{os.getpid()}.part")  # two runs at once build the same
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(partial, "w") as target:
        for info in sorted(source.infolist(), key=lambda info: info.filename):
            entry = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            target.writestr(entry, source.read(info), zipfile.ZIP_DEFLATED, 9)
    partial.replace(path)
    return path


def restore(pin: Pin, sources: Sources, progress: Progress = SILENT) -> Path:
    """Return a locked wheel that was built from an sdist, building it again where need be."""
    name, _, sha256 = (pin.built_from or "").partition(" ")
    version = pin.version
    source = Pin(name=pin.name, version=version, file=name, sha256=sha256)
    path = downloads.fetch([source], sources, progress)[name]
    wheel = build(Sdist(pin=source, path=path), sources)
    if downloads.digest(wheel) != pin.sha256:
        raise InputError(
            f"{pin.file} was built from {name} again, and it is not the wheel that was locked: its "
            "build tool has changed since. Lock the new wheel with `rsna-bundle libs --upgrade "
            f"{pin.name}`."
        )
    return downloads.keep(wheel, pin.sha256)


def as_wheel(path: Path, pin: Pin) -> Wheel:
    """Return what the wheel that an sdist becomes will ask for."""
    lines = "".join(f"Requires-Dist: {line}\n" for line in requirements(path))
    return wheels.parse(path, pin.name, pin.version, lines)


# --- the metadata of an sdist ---


def compiles(path: Path) -> bool:
    """Say whether an sdist holds sources of a compiled language."""
    return any(name.endswith(COMPILED) for name in _names(path))


def requirements(path: Path) -> list[str]:
    """Return what an sdist's PKG-INFO asks for."""
    text = _read(path, "PKG-INFO") or ""
    prefix = "Requires-Dist:"
    lines = [line for line in text.splitlines() if line.startswith(prefix)]
    return [str(Requirement(line.removeprefix(prefix).strip())) for line in lines]


def build_requirements(path: Path) -> list[str]:
    """Return what an sdist's build needs (PEP 518; setuptools where it does not say)."""
    project = tomllib.loads(_read(path, "pyproject.toml") or "")
    declared = project.get("build-system", {}).get("requires")
    return ["setuptools", "wheel"] if declared is None else [str(line) for line in declared]


def _names(path: Path) -> list[str]:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as tar:
        return tar.getnames()


def _read(path: Path, name: str) -> str | None:
    """Return a file of the sdist's top folder."""
    wanted = [entry for entry in _names(path) if entry.count("/") == 1]
    wanted = [entry for entry in wanted if entry.endswith(f"/{name}")]
    if not wanted:
        return None
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return archive.read(wanted[0]).decode("utf-8", errors="replace")
    with tarfile.open(path) as tar:
        member = tar.extractfile(wanted[0])
        return member.read().decode("utf-8", errors="replace") if member else None
