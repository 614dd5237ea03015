"""Say where an answer is older than it would have to be, and which package held it back."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.errors import BundlerError
from bundler.libs.requirements import Requirements
from bundler.libs.resolve.candidates import Candidate, Candidates

LONG = timedelta(days=365)


def notes(
    candidates: Candidates,
    chosen: Sequence[Candidate],
    requirements: Requirements,
    limits: Sequence[str],
) -> Iterator[str]:
    """Yield a note for each release that is far older than the newest that the target could use."""
    by_name = {one.name: one for one in chosen}
    every = [*requirements.wanted, *requirements.constraints, *map(Requirement, limits)]
    for one in chosen:
        if one.file is None:
            continue
        allowed = [need for need in every if canonicalize_name(need.name) == one.name]
        newest = _newest(candidates, one.name, allowed)
        if newest is None or not (newest.wheel in candidates.refused or _is_far(one, newest)):
            continue
        reason = _reason(candidates, by_name, one, newest)
        yield f"{one.name} {one.version} was taken, not {newest.version}: {reason}"


def _newest(candidates: Candidates, name: str, allowed: Sequence[Requirement]) -> Candidate | None:
    """Return the newest release that the user allows; a pre-release only if there is no other."""
    offered = [
        one
        for one in candidates.of(name)
        if one.file
        and one.file.yanked is None
        and all(need.specifier.contains(one.version, prereleases=True) for need in allowed)
    ]
    released = [one for one in offered if not Version(one.version).is_prerelease]
    return next(iter(released or offered), None)


def _is_far(one: Candidate, newest: Candidate) -> bool:
    """Say whether a release is more than one minor version, or a year, behind another."""
    old, new = Version(one.version), Version(newest.version)
    if new <= old:
        return False
    if new.major != old.major or new.minor - old.minor > 1:
        return True
    dates = [_date(candidate) for candidate in (one, newest)]
    return bool(dates[0] and dates[1] and dates[1] - dates[0] > LONG)


def _date(candidate: Candidate) -> datetime | None:
    uploaded = candidate.file.uploaded if candidate.file else None
    return datetime.fromisoformat(uploaded) if uploaded else None


def _reason(
    candidates: Candidates, chosen: Mapping[str, Candidate], one: Candidate, newest: Candidate
) -> str:
    """Return who keeps the newest release out."""
    if refused := candidates.refused.get(newest.wheel):
        return refused.reason
    if holders := [*_holders(candidates, chosen, one.name, newest.version)]:
        return f"{' and '.join(holders)}."
    if unmet := [*_unmet(candidates, chosen, newest)]:
        return f"{newest.version} needs {' and '.join(unmet)}."
    return (
        f"what {newest.version} needs cannot be met together with the other packages. Require "
        f"`{one.name}=={newest.version}` to be told why."
    )


def _holders(
    candidates: Candidates, chosen: Mapping[str, Candidate], name: str, version: str
) -> Iterator[str]:
    """Yield which packages of the answer do not accept a release."""
    for other in chosen.values():
        for need in _needs(candidates, other):
            if canonicalize_name(need.name) == name and not need.specifier.contains(version, True):
                yield f"{other.name} {other.version} needs {name}{need.specifier}"


def _unmet(
    candidates: Candidates, chosen: Mapping[str, Candidate], newest: Candidate
) -> Iterator[str]:
    """Yield what the newest release itself needs and the answer does not have."""
    for need in _needs(candidates, newest):
        name = canonicalize_name(need.name)
        answer = chosen.get(name) or next(iter(candidates.of(name)), None)
        if answer is None:
            yield f"{name}, which no index has for this target"
        elif not need.specifier.contains(answer.version, prereleases=True):
            who = "the image has" if answer.image else "the answer has"
            yield f"{name}{need.specifier}; {who} {name} {answer.version}"


def _needs(candidates: Candidates, one: Candidate) -> list[Requirement]:
    """Return what a release needs on the target without extras, as far as it can be told."""
    try:
        return candidates.requires(one)
    except BundlerError:
        return []
