"""Find one file for each package: rules, image, resolver, and wheels built from sdists."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from packaging.requirements import Requirement
from packaging.version import Version

from bundler.image import stub_packages
from bundler.image.target import Target
from bundler.libs.index import downloads, releases, simple_api, suggestions
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import Requirements, applying, write
from bundler.libs.resolve import builds, held_back, resolvers, rules, sdists
from bundler.libs.resolve.builds import Builder, CompiledError
from bundler.libs.resolve.candidates import Candidate, Candidates
from bundler.libs.resolve.minimal import minimal
from bundler.libs.resolve.resolution import Pin, UnresolvedError
from bundler.libs.resolve.sdists import Sdist


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be solved."""

    requirements: Requirements
    target: Target  # with those of its packages that need not be brought
    builder: Builder  # of sdists, with the sources that all is resolved from
    upgrade: bool = False
    keep: tuple[Pin, ...] = ()  # of an earlier lock, preferred while they fit

    @property
    def wanted(self) -> list[str]:
        """Return the lines that a resolver has to meet."""
        return [write(need) for need in self.requirements.wanted]

    @property
    def limits(self) -> list[str]:
        """Return the constraints of the user, of the rules, of the image, and of the lock."""
        limits = [write(need) for need in self.requirements.constraints]
        limits += [*rules.constraints(self.target), *stub_packages.constraints(self.target)]
        # As constraints, not as requirements: what nobody needs any more drops out.
        return limits + [f"{pin.name}=={pin.version}" for pin in self.keep]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Pins to bring, what sdists that travel need to be built, and remarks."""

    pins: tuple[Pin, ...]
    build: tuple[Pin, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Brought:
    """A candidate that the bundle brings, and what became of its sdist."""

    candidate: Candidate
    pin: Pin
    shipped: Sdist | None = None  # travels as it is


def solve(problem: Problem) -> Solution:
    """Resolve, leaving an earlier lock's pins where they are if that can be.

    Builds what has no wheel. Raises UnresolvedError, NetworkError, InputError.
    """
    return _solve(replace(problem, keep=_kept(problem)))


def _kept(problem: Problem) -> tuple[Pin, ...]:
    """Return which of the earlier pins can stay where they are: as many as can."""
    if not problem.keep:
        return ()
    candidates = offer(problem)

    def fails(pins: Sequence[Pin]) -> bool:
        try:
            choose(replace(problem, keep=tuple(pins)), candidates)
        except UnresolvedError:
            return True
        return False

    kept, dropped = list(problem.keep), list[Pin]()
    while kept and fails(kept):  # a new requirement may not fit some of them
        moved = minimal(kept, fails)
        if not moved:  # nothing fits even without them: the explanation is of the whole
            return ()
        kept = [pin for pin in kept if pin not in moved]
        dropped += moved
    for pin in dropped:  # one of several may have to move alone
        if not fails([*kept, pin]):
            kept.append(pin)
    return tuple(kept)


def offer(problem: Problem) -> Candidates:
    """Return the candidates of a problem."""
    return Candidates(
        problem.target,
        problem.builder.sources,
        build_metadata=problem.builder.metadata,
        hashes=problem.requirements.hashes,
        refresh=problem.upgrade,
        progress=problem.builder.progress,
    )


def _solve(problem: Problem) -> Solution:
    notes = list(rules.notes(problem.target, problem.requirements.wanted))
    notes += suggestions.notes(problem.requirements.wanted)
    candidates = offer(problem)
    chosen, brought = _choose_and_build(problem, candidates)
    files = {one.pin.file for one in brought}
    build = _build_pins(problem, [one.shipped for one in brought if one.shipped], files)
    notes += [_yanked(one) for one in chosen if one.file and one.file.yanked is not None]
    notes += _of_sdists(problem, candidates, brought)
    limits = rules.constraints(problem.target)
    notes += held_back.notes(candidates, chosen, problem.requirements, limits)
    # What was passed over for want of a package that does not build is told of that package.
    names = {one.name for one in chosen}
    notes += [one.reason for one in candidates.refused.values() if one.name not in names]
    notes += _of_several_indexes(problem.builder.sources, [one.pin.name for one in brought])
    return Solution(
        pins=tuple(sorted((one.pin for one in brought), key=lambda pin: pin.name)),
        build=tuple(build),
        notes=tuple(dict.fromkeys(notes)),
    )


def choose(problem: Problem, candidates: Candidates) -> list[Candidate]:
    """Return the candidates that the resolver chooses. Raises UnresolvedError, NetworkError."""
    return resolvers.choose(
        problem.builder.resolver, problem.target, problem.wanted, problem.limits, candidates
    )


def _choose_and_build(
    problem: Problem, candidates: Candidates
) -> tuple[list[Candidate], list[_Brought]]:
    """Let the resolver choose, and build what it chose; of what cannot be built, choose again."""
    while True:
        try:
            chosen = choose(problem, candidates)
        except UnresolvedError as error:
            raise UnresolvedError(
                error.output, tuple(one.reason for one in candidates.refused.values())
            ) from error
        refused = len(candidates.refused)
        brought = [_bring(problem, candidates, one) for one in chosen if one.file]
        if len(candidates.refused) == refused:
            return chosen, [one for one in brought if one]


def _bring(problem: Problem, candidates: Candidates, candidate: Candidate) -> _Brought | None:
    """Return a candidate's pin; None, and it is offered no longer, where it cannot be built."""
    assert candidate.file is not None
    if not candidate.is_sdist:
        pin = releases.pin(candidate.name, candidate.version, candidate.file)
        return _Brought(candidate=candidate, pin=pin)
    sdist = candidates.sdist(candidate)
    try:
        wheel = problem.builder.wheel(sdist)
    except CompiledError as error:
        if problem.builder.allow_sdist:
            return _Brought(candidate=candidate, pin=sdist.pin, shipped=sdist)
        candidates.refuse(candidate, str(error))
        return None
    pin = Pin(
        name=candidate.name,
        version=candidate.version,
        file=wheel.name,
        sha256=downloads.digest(wheel),
        built_from=sdist.origin,
        origin=candidate.file.origin,
        commit=candidate.file.commit,
    )
    downloads.keep(wheel, pin.sha256)
    return _Brought(candidate=candidate, pin=pin)


def _build_pins(problem: Problem, shipped: list[Sdist], files: set[str]) -> list[Pin]:
    """Resolve what travelling sdists need to be built offline: nothing of the image counts."""
    lines = [line for sdist in shipped for line in sdists.build_requirements(sdist.path)]
    needs = applying(map(Requirement, lines), problem.target.environment)
    # The build runs in an environment of its own, in which the image's packages are not seen.
    bare = problem.target.without(problem.target.packages)
    wanted, builder = [*map(write, needs)], problem.builder
    pins = builds.resolve_wheels(wanted, bare, builder.resolver, builder.sources)
    via = tuple(sorted(f"build of {sdist.pin.name}" for sdist in shipped))
    return [replace(pin, via=via) for pin in pins if pin.file not in files]


# --- remarks ---


def _yanked(candidate: Candidate) -> str:
    """Return a warning of what the index has withdrawn; `==` and a lock keep such."""
    assert candidate.file is not None
    release = f"{candidate.name} {candidate.version}"
    return (
        f"{release} was yanked from the index ({candidate.file.yanked or 'no reason given'}). "
        f"Require another release, or run `rsna-bundle libs --upgrade {candidate.name}`."
    )


def _of_several_indexes(sources: Sources, names: Sequence[str]) -> list[str]:
    """Say which packages are on more than one index: of two of one name one may be a stranger's."""
    if len(sources.indexes) < 2:
        return []
    with ThreadPoolExecutor(8) as pool:
        indexes = zip(names, pool.map(partial(simple_api.indexes_of, sources), names), strict=True)
        return [
            f"{name} is on {' and on '.join(holders)}: taken from the first. Check that it is the "
            "one you mean."
            for name, holders in indexes
            if len(holders) > 1
        ]


def _of_sdists(problem: Problem, candidates: Candidates, brought: Iterable[_Brought]) -> list[str]:
    """Say what was built, what travels as an sdist, and with which Python."""
    lines = []
    for one in brought:
        if one.candidate.is_sdist and one.candidate.file:
            file = one.candidate.file.name
            done = (
                f"{file} is shipped, to be built on the notebook"
                if one.shipped
                else f"built from {file}"
            )
            lines.append(f"{_without_wheel(candidates, one.candidate)}: {done}.")
    if lines and (remark := problem.builder.remark):
        lines.append(remark)
    return lines


def _without_wheel(candidates: Candidates, candidate: Candidate) -> str:
    older = next((one for one in candidates.of(candidate.name) if not one.is_sdist), None)
    text = f"{candidate.name} {candidate.version} has no wheel that fits"
    if older is None or Version(older.version) > Version(candidate.version):
        return text
    return f"{text}; {older.version}, the newest release with a wheel, would be older"
