"""What a resolver answers: one pin for each package, one wheel for each pin."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from bundler.errors import InputError
from bundler.image.target import Target


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One package of a wheelhouse: its version and the one file that is installed."""

    name: str  # normalised
    version: str
    file: str  # the wheel's name, or an sdist's
    sha256: str
    bytes: int | None = None
    url: str | None = field(default=None, repr=False)
    via: tuple[str, ...] = ()  # who requires it
    built_from: str | None = None  # the sdist that this wheel was built from: name sha256
    origin: str = ""  # the index, folder, file, URL or repository that it is of; no credentials
    commit: str = ""  # of the repository

    @property
    def is_wheel(self) -> bool:
        """Say whether the file is a wheel; the rest are sdists that travel."""
        return self.file.endswith(".whl")

    @property
    def line(self) -> str:
        """Return the requirement that installs exactly this file."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A release that a resolver chose."""

    name: str  # normalised
    version: str

    @classmethod
    def parse(cls, line: str) -> "Choice":
        """Return the choice that a line `name==version` of a requirements file says."""
        name, _, version = line.split("#")[0].split(";")[0].strip().partition("==")
        return cls(name=canonicalize_name(name), version=version)


class UnresolvedError(InputError):
    """The resolver found no set of packages: its `output`, and the `reasons` that we know."""

    def __init__(self, output: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(output)
        self.output = output
        self.reasons = reasons


def with_digest(pin: Pin) -> Pin:
    """Return a pin with its file's sha256, which folders of links do not say. Raises InputError."""
    if pin.sha256:
        return pin
    if not (pin.url or "").startswith("file:"):
        raise InputError(
            f"The index gives no sha256 for {pin.file}, so the file cannot be verified. Use an "
            "index that does, or put the wheel into a folder and add `--find-links FOLDER` to the "
            "requirements."
        )
    path = Path(unquote(urlsplit(pin.url or "").path))
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return replace(pin, sha256=digest, bytes=path.stat().st_size)


Named = TypeVar("Named")


def best(target: Target, candidates: Iterable[tuple[str, Named]]) -> Named | None:
    """Return of (wheel's name, it) the one that fits a target best, as pip and uv choose."""
    ranks: dict[Tag, int] = {tag: rank for rank, tag in enumerate(reversed(target.tags))}
    ranked = []
    for name, candidate in candidates:
        try:
            _, _, build, tags = parse_wheel_filename(name)
        except InvalidWheelFilename:
            continue
        fitting = [ranks[tag] for tag in tags if tag in ranks]
        if fitting:
            ranked.append((max(fitting), build, name, candidate))
    return max(ranked, key=lambda entry: entry[:3])[3] if ranked else None
