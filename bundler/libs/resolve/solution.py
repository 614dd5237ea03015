"""Find one wheel for each package: rules, image, resolver, and what only exists as an sdist."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.errors import NetworkError
from bundler.image import stub_packages
from bundler.image.target import Target
from bundler.libs.index import downloads, releases, simple_api, suggestions
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import Requirements, applying, write
from bundler.libs.resolve import image_provides, pip_tools, rules, sdists, uv
from bundler.libs.resolve.resolution import Pin, UnresolvedError
from bundler.libs.resolve.sdists import CompiledError, Sdist
from bundler.progress import SILENT, Progress

RESOLVERS = {"uv": uv.resolve, "pip-tools": pip_tools.resolve}
ROUNDS = 4  # of finding, building and resolving again
_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
NO_WHEEL = (  # uv's two sentences, then pip's
    re.compile(rf"(?:required|found wheels) for `{_NAME}`"),
    re.compile(rf"(?:versions of |\b){_NAME}(?:[=<>!~]=?\S+)? ha(?:s|ve) no (?:usable )?wheels"),
    re.compile(rf"No matching distribution found for {_NAME}"),
)
NO_NETWORK = ("error sending request", "failed to fetch", "connection error", "timed out", "dns")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be solved."""

    requirements: Requirements
    target: Target  # with those of its packages that need not be brought
    sources: Sources
    resolver: str
    allow_sdist: bool = False
    upgrade: bool = False
    keep: tuple[Pin, ...] = ()  # of an earlier lock, preferred while they fit
    progress: Progress = SILENT


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Pins to bring, pins the image provides, what sdists need to be built, and remarks."""

    pins: tuple[Pin, ...]
    provided: tuple[Pin, ...]
    build: tuple[Pin, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Links:
    """Wheels beside the index's: built from sdists, or stubs for sdists that travel."""

    folder: Path
    built: dict[str, Sdist] = field(default_factory=dict)  # wheel's name → its sdist
    shipped: dict[str, Sdist] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def solve(problem: Problem) -> Solution:
    """Resolve, leaving an earlier lock's pins where they are if that can be.

    Builds what has no wheel on the way. Raises UnresolvedError, NetworkError, InputError.
    """
    if problem.keep:  # a new requirement may not fit them: then all may move
        with contextlib.suppress(UnresolvedError):
            return _solve(problem)
    return _solve(replace(problem, keep=()))


def _solve(problem: Problem) -> Solution:
    notes = list(rules.notes(problem.target, problem.requirements.wanted))
    notes += suggestions.notes(problem.requirements.wanted)
    with _links(problem) as links:
        pins, offline = _resolve_and_build(problem, links)
        brought, provided = image_provides.split(problem.target, pins)
        final = [_origin(pin, links) for pin in brought]
        build = _build_pins(problem, links, final)
    if not offline:
        notes += _yanked(problem, final)
    if offline:
        notes.append(
            "The network is off: resolved from uv's cache, which may lack the newest releases."
        )
    notes += [note for note in links.notes if note not in notes]
    return Solution(
        pins=tuple(sorted(final, key=lambda pin: pin.name)),
        provided=tuple(provided),
        build=tuple(build),
        notes=tuple(notes),
    )


def _yanked(problem: Problem, pins: list[Pin]) -> list[str]:
    """Return a warning for each pin that the index has withdrawn; `==` and a lock keep such."""
    with ThreadPoolExecutor(8) as pool:
        reasons = pool.map(
            lambda pin: simple_api.yanked(problem.sources, pin.name, pin.version), pins
        )
    return [
        f"{pin.name} {pin.version} was yanked from the index ({reason or 'no reason given'}). "
        f"Require another release, or run `rsna-bundle libs --upgrade {pin.name}`."
        for pin, reason in zip(pins, reasons, strict=True)
        if reason is not None
    ]


@contextmanager
def _links(problem: Problem) -> Iterator[_Links]:
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-links-") as folder:
        yield _Links(folder=Path(folder))


def _resolve_and_build(problem: Problem, links: _Links) -> tuple[list[Pin], bool]:
    """Resolve; where a newer release exists only as an sdist, build it and resolve again."""
    for _ in range(ROUNDS):
        try:
            with _newest_ahead(problem):
                pins, offline = _resolve(problem, links)
        except UnresolvedError as error:
            # Resolvers are given wheels only, so a package without one looks as if it were absent.
            if not _add_sdists(problem, links, _wheelless(error.output, problem)):
                raise UnresolvedError(error.output, tuple(links.refused)) from error
            continue
        brought = image_provides.split(problem.target, pins)[0]
        if offline or not _add_newer(problem, links, brought):
            return pins, offline
    return pins, offline


@contextmanager
def _newest_ahead(problem: Problem) -> Iterator[None]:
    """Ask for the newest releases while the resolver works: the answers are cached for later."""

    def ask(name: str) -> None:
        with contextlib.suppress(NetworkError):  # who needs the answer asks again, and reports it
            releases.newest(problem.sources, name)

    names = {canonicalize_name(need.name) for need in problem.requirements.wanted}
    with ThreadPoolExecutor(8) as pool:
        for name in sorted(names - problem.target.packages.keys()):
            pool.submit(ask, name)
        yield


def _resolve(problem: Problem, links: _Links) -> tuple[list[Pin], bool]:
    """Ask the resolver once; without a network, ask uv's cache."""
    target = problem.target
    wanted = [write(need) for need in problem.requirements.wanted]
    limits = [write(need) for need in problem.requirements.constraints]
    limits += rules.constraints(target)
    # As constraints, not as requirements: what nobody needs any more drops out.
    limits += [f"{pin.name}=={pin.version}" for pin in problem.keep]
    folders = [*problem.sources.links]
    if target.installed:
        limits += stub_packages.constraints(target)
        folders.append(str(stub_packages.stub_wheels(target)))
    if links.built or links.shipped:
        folders.append(str(links.folder))
    sources = replace(problem.sources, links=tuple(folders))
    resolve = RESOLVERS[problem.resolver]
    try:
        return resolve(target, wanted, limits, sources, upgrade=problem.upgrade), False
    except UnresolvedError as error:
        if not any(sign in error.output.lower() for sign in NO_NETWORK):
            raise
        try:
            return resolve(target, wanted, limits, sources, offline=True), True
        except (UnresolvedError, NetworkError) as offline_error:
            lines = "\n".join(f"  {line}" for line in str(offline_error).splitlines())
            raise NetworkError(
                f"no index can be reached, and the cache of earlier runs is not enough.\n{lines}"
            ) from error


# --- sdists ---


def _wheelless(output: str, problem: Problem) -> list[str]:
    """Return which packages may have an sdist only: those wanted, those that the resolver names.

    No other word of the resolver's output is looked up: building an unknown sdist runs its code.
    """
    wanted: list[str] = [canonicalize_name(need.name) for need in problem.requirements.wanted]
    text = output.replace("\n", " ")
    named: list[str] = [
        canonicalize_name(name) for sentence in NO_WHEEL for name in sentence.findall(text)
    ]
    return list(dict.fromkeys([*wanted, *named]))


def _add_sdists(problem: Problem, links: _Links, names: list[str]) -> bool:
    """Add wheels for those packages that have an sdist only; say whether any was new."""
    added = [_add(problem, links, name, None) for name in names if name not in links.tried]
    return any(added)


def _add_newer(problem: Problem, links: _Links, pins: list[Pin]) -> bool:
    """Add wheels where the newest release lacks one and an older release was taken instead."""
    # What a lock holds is not behind: moving it is what --upgrade is for.
    settled = links.tried | {pin.name for pin in problem.keep}
    known = {pin.name: pin for pin in pins if pin.name not in settled}
    with ThreadPoolExecutor(8) as pool:
        newest = pool.map(lambda pin: releases.newest(problem.sources, pin.name), known.values())
    behind = [
        pin.name
        for pin, version in zip(known.values(), newest, strict=True)
        if version is not None
        and version > Version(pin.version)
        and _allows(problem, pin.name, version)
    ]
    added = [_add(problem, links, name, known[name].version) for name in behind]
    return any(added)


def _allows(problem: Problem, name: str, version: Version) -> bool:
    """Say whether the requirements file and the rules allow a release."""
    limits = [
        *problem.requirements.named(name),
        *map(Requirement, rules.constraints(problem.target)),
    ]
    mine = [need for need in limits if canonicalize_name(need.name) == name]
    return all(need.specifier.contains(version, prereleases=True) for need in mine)


def _add(problem: Problem, links: _Links, name: str, chosen: str | None) -> bool:
    """Build the newest allowed release of a package, where it has an sdist and no fitting wheel."""
    links.tried.add(name)
    release = releases.without_wheel(
        problem.target, problem.sources, name, problem.requirements.named(name)
    )
    if release is None or (chosen and Version(release.version) <= Version(chosen)):
        return False
    sdist = sdists.fetch(release, name, problem.sources, problem.progress)
    older = f"; {chosen}, the newest release with a wheel, would be older" if chosen else ""
    reason = f"{name} {sdist.pin.version} has no wheel that fits{older}"
    try:
        wheel = sdists.build(sdist, problem.sources)
    except CompiledError as error:
        return _refuse(problem, links, sdist, reason, error, chosen)
    shutil.copyfile(wheel, links.folder / wheel.name)
    links.built[wheel.name] = sdist
    links.notes.append(f"{reason}: built from {sdist.pin.file}.")
    return True


def _refuse(
    problem: Problem,
    links: _Links,
    sdist: Sdist,
    reason: str,
    error: CompiledError,
    chosen: str | None,
) -> bool:
    """Ship the sdist itself where that is allowed; else keep the older release, and say so."""
    if problem.allow_sdist:
        name = image_provides.write_stub_of_sdist(links.folder, sdist, problem.target)
        links.shipped[name] = sdist
        links.notes.append(f"{reason}: {sdist.pin.file} is shipped, to be built on the notebook.")
        return True
    links.refused.append(str(error))
    if chosen:
        links.notes.append(f"{reason}, but its sdist cannot be used: {chosen} was taken. {error}")
    return False


def _origin(pin: Pin, links: _Links) -> Pin:
    """Return the pin of what travels: a built wheel names its sdist, a stub becomes it."""
    if pin.file in links.built:
        downloads.keep(links.folder / pin.file, pin.sha256)
        return replace(pin, url=None, built_from=links.built[pin.file].origin)
    if pin.file in links.shipped:
        return links.shipped[pin.file].pin
    return pin


def _build_pins(problem: Problem, links: _Links, pins: list[Pin]) -> list[Pin]:
    """Resolve what the travelling sdists need to be built offline: nothing of the image counts."""
    files = {pin.file for pin in pins}
    shipped = [sdist for sdist in links.shipped.values() if sdist.pin.file in files]
    lines = [line for sdist in shipped for line in sdists.build_requirements(sdist.path)]
    if not lines:
        return []
    needs = applying(map(Requirement, lines), problem.target.environment)
    wanted = [write(need) for need in needs]
    resolve = RESOLVERS[problem.resolver]
    via = tuple(sorted(f"build of {sdist.pin.name}" for sdist in shipped))
    known = {pin.file for pin in pins}
    # The build runs in an environment of its own, in which the image's packages are not seen.
    pins_of_builds = resolve(problem.target, wanted, [], problem.sources)
    return [replace(pin, via=via) for pin in pins_of_builds if pin.file not in known]
