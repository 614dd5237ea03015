"""One package that an image has: what is known of it, and what is not."""

import functools
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.result import Json


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One package that the image has: its version, what it asks for, and what one imports of it.

    None: not known, in an estimate. A package whose version is not known is not among these (see
    `Target.unversioned`), so that nothing can rely on it.
    """

    name: str  # normalised
    version: str
    requires: tuple[str, ...] | None = ()
    modules: tuple[str, ...] | None = None  # dotted, as `capture.importable` returns them

    def needs(self, names: Container[str] | None = None) -> list[Requirement]:
        """Return what it asks for (of the packages `names` alone), as far as that can be read."""
        lines = self.requires or ()
        if names is not None:  # reading hundreds of requirements takes a second
            lines = tuple(line for line in lines if _name(line) in names)
        return [need for need in map(parsed, lines) if need]

    def as_dict(self) -> Mapping[str, Json]:
        """Return the JSON that a target's file holds of it."""
        modules = {} if self.modules is None else {"modules": list(self.modules)}
        return {**self.about_version(), **modules}

    def about_version(self) -> Mapping[str, Json]:
        """Return what a resolution depends on: modules decide no version."""
        requires = None if self.requires is None else list(self.requires)
        return {"name": self.name, "version": self.version, "requires": requires}


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """How many of an image's packages are known, and how much of each."""

    packages: int
    versions: int
    requirements: int
    modules: int

    @property
    def is_complete(self) -> bool:
        """Say whether nothing is missing."""
        return {self.versions, self.requirements, self.modules} == {self.packages}

    def summary(self) -> str:
        """Return a phrase for people."""
        if self.is_complete:
            return f"versions, requirements and modules of all {self.packages} packages are known"
        return (
            f"of {self.packages} packages are known: {self.versions} versions, "
            f"{self.requirements} requirements, {self.modules} lists of modules"
        )

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints: counts of what is known, and of what is not."""
        counts = {
            "versions": self.versions,
            "requirements": self.requirements,
            "modules": self.modules,
        }
        return {
            "packages": self.packages,
            **{name: [known, self.packages - known] for name, known in counts.items()},
        }


def normalised(packages: Iterable[Distribution]) -> tuple[Distribution, ...]:
    """Sort installed packages by normal name; of two of one name the first on the path counts."""
    by_name: dict[str, Distribution] = {}
    for package in packages:
        name = canonicalize_name(package.name)
        try:
            version = str(Version(package.version))
        except InvalidVersion:
            continue  # pip cannot compare it either
        by_name.setdefault(name, replace(package, name=name, version=version))
    return tuple(by_name[name] for name in sorted(by_name))


def _name(line: str) -> str:
    return canonicalize_name(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0])


@functools.lru_cache(maxsize=4096)
def parsed(line: str) -> Requirement | None:
    """Return a requirement, or None for what cannot be read; old packages have such."""
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None
