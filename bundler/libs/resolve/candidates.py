"""What a resolver may choose from: the target's packages, fitting wheels, and sdists as wheels.

A resolver that is given wheels only passes over a release that has an sdist alone, and takes an
older release, or an older release of what needs it. So each release without a fitting wheel is
offered as the wheel that its sdist would become; what that wheel needs is read, or asked of the
sdist's build tool, once a resolver wants to know it.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.errors import BundlerError, InputError, NetworkError
from bundler.image import stub_packages
from bundler.image.distribution import Distribution, parsed
from bundler.image.target import Target
from bundler.libs import wheels
from bundler.libs.index import metadata, releases, simple_api, web
from bundler.libs.index.simple_api import File
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import holds
from bundler.libs.resolve import sdists
from bundler.libs.resolve.sdists import Sdist
from bundler.progress import SILENT, Progress

SDIST_BUILD = "0sdist"  # the build tag of the wheel that an sdist is offered as


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One release of a package, as a resolver sees it: a wheel."""

    name: str  # normalised
    version: str
    file: File | None = None  # None: the image has it
    image: Distribution | None = None

    @property
    def is_sdist(self) -> bool:
        """Say whether its wheel has to be built first."""
        return self.file is not None and not self.file.is_wheel

    @property
    def wheel(self) -> str:
        """Return the name under which the resolver sees it."""
        if self.file is not None and self.file.is_wheel:
            return self.file.name
        build = f"-{SDIST_BUILD}" if self.file else ""
        return f"{self.name.replace('-', '_')}-{self.version}{build}-py3-none-any.whl"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A candidate that cannot be used."""

    name: str
    reason: str


class Candidates:
    """The candidates of one resolution, each package asked for once. Used by several threads."""

    def __init__(
        self,
        target: Target,
        sources: Sources,
        *,
        build_metadata: Callable[[Sdist], str] | None = None,
        hashes: Mapping[str, frozenset[str]] | None = None,
        refresh: bool = False,
        progress: Progress = SILENT,
    ) -> None:
        """Offer what `sources` have for a target; without `build_metadata`, wheels alone."""
        self._target, self._sources, self._build = target, sources, build_metadata
        self._hashes = hashes or {}
        self._refresh, self._progress = refresh, progress
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._listed: dict[str, tuple[Candidate, ...]] = {}
        self._every: dict[str, tuple[Candidate, ...]] = {}  # of the image's packages, if freed
        self._freed: frozenset[str] = frozenset()
        self.asked: set[str] = set()
        self._tags = {str(tag) for tag in target.tags}
        self.refused: dict[str, Refused] = {}  # by the wheel's name
        self.failure: BundlerError | None = None  # why the resolver did not get an answer

    def of(self, name: str) -> tuple[Candidate, ...]:
        """Return the releases of a package that the target can use, newest first."""
        name = canonicalize_name(name)
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            self.asked.add(name)
            if name in self._freed:
                if name not in self._every:
                    self._every[name] = self._any_version(name)
                return self._every[name]
            # The image decides: another release of what it has is no candidate, and no index is
            # asked for one.
            if package := self._target.packages.get(name):
                return (Candidate(name=name, version=package.version, image=package),)
            if name not in self._listed:
                self._listed[name] = self._list(name)
            return self._listed[name]

    def freeing(self, names: frozenset[str]) -> "Candidates":
        """Return the same candidates as if the image had every version of some packages.

        What another version of those would need is not asked: the image is what it is.
        """
        other = copy.copy(self)
        other._freed, other.asked, other.failure = names, set(), None
        return other

    def find(self, name: str, version: str) -> Candidate:
        """Return the candidate that a resolver chose. Raises InputError."""
        for candidate in self.of(name):
            if Version(candidate.version) == Version(version):
                return candidate
        raise InputError(f"The resolver chose {name} {version}, which no index offers.")

    def refuse(self, candidate: Candidate, reason: str) -> None:
        """Offer a candidate no longer."""
        self.refused[candidate.wheel] = Refused(name=candidate.name, reason=reason)

    def needs(self, candidate: Candidate) -> str:
        """Return the METADATA of a candidate. Raises InputError, NetworkError."""
        if candidate.image is not None:
            needs = _of_extras(candidate.image)
            return sdists.described(candidate.name, candidate.version, needs)
        assert candidate.file is not None
        if candidate.file.is_wheel:
            text = metadata.text(candidate.file, self._sources)
        else:
            assert self._build is not None  # else no sdist is offered
            text = self._build(self.sdist(candidate))
        _check_names(candidate, text)
        return text

    def requires(self, candidate: Candidate) -> list[Requirement]:
        """Return what a candidate needs on the target, no extra of it asked for.

        Raises InputError, NetworkError.
        """
        lines = wheels.headers(self.needs(candidate)).get("requires-dist", ())
        environment = self._target.environment
        needs = [need for need in map(parsed, lines) if need]
        return [need for need in needs if holds(need.marker, environment)]

    def sdist(self, candidate: Candidate) -> Sdist:
        """Fetch the sdist of a candidate."""
        assert candidate.file is not None
        return sdists.fetch(candidate.file, candidate.name, self._sources, self._progress)

    def _any_version(self, name: str) -> tuple[Candidate, ...]:
        listed = simple_api.files(self._sources, name)
        versions = {file.version for file in listed} | {self._target.packages[name].version}
        return tuple(
            Candidate(name=name, version=version, image=Distribution(name=name, version=version))
            for version in sorted(versions, key=Version, reverse=True)
        )

    def _list(self, name: str) -> tuple[Candidate, ...]:
        found = simple_api.files(self._sources, name, refresh=self._refresh)
        allowed = self._hashes.get(name)  # the files that the user's requirements allow
        found = [file for file in found if allowed is None or file.sha256 in allowed]
        usable = [file for file in found if self._fits(file)]
        return tuple(self._best(name, usable))

    def _fits(self, file: File) -> bool:
        if file.is_wheel and not self._has_tag(file.name):
            return False
        return releases.python_allows(self._target, file)

    def _has_tag(self, wheel: str) -> bool:
        """Say whether a wheel's tags are among the target's; parsing them fully is too slow."""
        parts = wheel.removesuffix(".whl").split("-")[-3:]
        if len(parts) != 3:
            return False
        pythons, abis, platforms = (part.split(".") for part in parts)
        return any(
            f"{python}-{abi}-{platform}" in self._tags
            for python in pythons
            for abi in abis
            for platform in platforms
        )

    def _best(self, name: str, files: list[File]) -> Iterator[Candidate]:
        """Yield one file for each release: its best wheel, else its sdist."""
        groups: dict[str, list[File]] = {}
        for file in files:
            groups.setdefault(file.version, []).append(file)
        for version in sorted(groups, key=Version, reverse=True):
            chosen = releases.fitting(self._target, groups[version])
            if chosen is None and self._build is not None:
                archives = [file for file in groups[version] if not file.is_wheel]
                chosen = max(archives, key=_preference, default=None)
            if chosen is not None:
                yield Candidate(name=name, version=version, file=chosen)

    def give_up(self, error: BundlerError) -> None:
        """Remember why the resolver got no answer; the first reason explains the rest."""
        with self._lock:
            if self.failure is None or isinstance(error, NetworkError):
                self.failure = self.failure or error


def _check_names(candidate: Candidate, text: str) -> None:
    """Raise InputError where a release needs a package from one place, by its metadata.

    pip would fetch it from there on the notebook, whatever the bundle holds.
    """
    for line in wheels.headers(text).get("requires-dist", ()) if "@" in text else ():
        if "@" in line and (need := parsed(line)) and need.url:
            raise InputError(
                f"{candidate.name} {candidate.version} needs {need.name} from "
                f"{web.shown(need.url)}, which pip cannot reach on the notebook. Let the project "
                f"of {candidate.name} require `{need.name}` by its name alone, and say where it is "
                "in your requirements, or in the [tool.uv.sources] of your project."
            )


def _preference(file: File) -> tuple[bool, str]:
    return file.name.endswith(".tar.gz"), file.name


def _of_extras(package: Distribution) -> list[Requirement]:
    """Return what a package of the image needs for its extras, and no more.

    The image is taken as it is: an image often breaks its own packages' requirements and works
    all the same.
    """
    return [need for need in package.needs() if stub_packages.is_of_an_extra(need)]
