"""Say why a wheelhouse cannot be resolved: both sides of a conflict, and the ways out."""

import re
from collections.abc import Sequence
from dataclasses import replace

from packaging.utils import canonicalize_name, parse_wheel_filename

from bundler.errors import InputError, NetworkError
from bundler.libs import effects
from bundler.libs.index import releases, simple_api, suggestions
from bundler.libs.resolve.resolution import UnresolvedError
from bundler.libs.resolve.solution import Problem, choose, offer

SHOWN = 6  # releases that a message lists
ASKS = re.compile(r"\bdepends? on\b|\bneeds\b")  # uv's word, and pip_compile's
LACKS = re.compile(r"not found|No matching|[Tt]here (is|are) no|ha(s|ve) no|mismatch|metadata")


def explained(problem: Problem, error: UnresolvedError) -> InputError:
    """Return an error with our reasons, and the resolver's output below them."""
    path, target = problem.requirements.path, problem.target
    reasons = error.reasons or _reasons(problem, error.output)
    output = "\n".join(f"  {line}" for line in error.output.splitlines())
    lines = "".join(f"\n{line}" for line in reasons)
    return InputError(
        f"Cannot resolve {path.name} for {target.name} (Python {target.python}).{lines}\n"
        f"The output of {problem.builder.resolver}:\n{output}"
    )


def _reasons(problem: Problem, output: str) -> Sequence[str]:
    # The first kind that is there explains the rest: an absent name makes all else fail, too.
    reasons = _absent(problem) or _impossible(problem) or _conflicts(problem)
    if not reasons and ASKS.search(output) and not LACKS.search(output):
        return ["The requirements contradict each other: loosen one of those named below."]
    return reasons


def _absent(problem: Problem) -> list[str]:
    """Return a sentence for each name that no index has."""
    sentences = []
    for need in problem.requirements.wanted:
        name = canonicalize_name(need.name)
        if name in problem.target.packages:
            continue
        if not simple_api.files(problem.builder.sources, name):
            sentences.append(suggestions.absent(name, problem.target))
    return sentences


def _impossible(problem: Problem) -> list[str]:
    """Return a sentence for each requirement that no release, or no fitting wheel, meets."""
    sentences = []
    for need in problem.requirements.wanted:
        name = canonicalize_name(need.name)
        if name in problem.target.packages:
            continue
        files = simple_api.files(problem.builder.sources, name)
        allowed = releases.by_version(files, [need])
        if not allowed:
            every = list(releases.by_version(files))
            listed = ", ".join(str(version) for version in every[:SHOWN])
            yanked = {f.version: f.yanked for f in files if f.yanked is not None}
            gone = [
                f"{v} was yanked ({why or 'no reason given'})"
                for v, why in yanked.items()
                if need.specifier.contains(v, prereleases=True)
            ]
            sentences.append(
                f"No release of {name} matches {need.specifier}; the index has {listed or 'none'}"
                f"{', …' if len(every) > SHOWN else ''}."
                + "".join(f" {line}." for line in gone[:1])
            )
        elif not any(releases.fitting(problem.target, group) for group in allowed.values()):
            sentences.append(_unfitting(problem, name, next(iter(allowed.values()))))
    return sentences


def _unfitting(problem: Problem, name: str, newest: list[simple_api.File]) -> str:
    """Return which machines the newest release has wheels for."""
    target = problem.target
    if not any(releases.python_allows(target, file) for file in newest):
        return (
            f"No allowed release of {name} runs on Python {target.python}; "
            f"{newest[0].version} requires Python {newest[0].requires_python}."
        )
    tags = [tag for file in newest if file.is_wheel for tag in parse_wheel_filename(file.name)[3]]
    pythons = sorted({tag.interpreter for tag in tags}, key=lambda tag: (len(tag), tag))[::-1]
    platforms = sorted({tag.platform for tag in tags if tag.interpreter == target.interpreter})
    if platforms:
        have = f"wheels of {target.interpreter} for {', '.join(platforms[:SHOWN])}"
    elif pythons:
        have = f"wheels for {', '.join(pythons[:SHOWN])}"
    else:
        have = "no wheel at all, only an sdist"
    return (
        f"No allowed release of {name} has a wheel for Python {target.short_python} on "
        f"{target.platform}; {newest[0].version} has {have}."
    )


def _conflicts(problem: Problem) -> list[str]:
    """Return what the wheelhouse needs of the image and does not get, with the ways out."""
    if not problem.target.installed:
        return []
    who = problem.requirements.path.name
    conflicts = list(effects.unmet(problem.target, who, problem.requirements.wanted))
    if not conflicts:  # else all others may only follow from it
        conflicts = _transitive_conflicts(problem)
    if not conflicts:
        return []
    ways = (
        "Ways out: require a release that accepts the image's version; or bring your own: add the "
        f"package to {who} and end its line with `# replace` (the runner then imports yours, and "
        "packages of the image that were built against its own may break); or bring everything "
        "with --no-delta; or use an image that has the version."
    )
    return [*(f"{line}." for line in dict.fromkeys(conflicts)), ways]


def _transitive_conflicts(problem: Problem) -> list[str]:
    """Resolve without the image, and return what that answer needs of the image and lacks."""
    bare = replace(problem, target=problem.target.without(problem.target.packages))
    candidates = offer(bare)
    try:
        whole = choose(bare, candidates)
    except (UnresolvedError, NetworkError):
        return []
    return [
        line
        for one in whole
        for line in effects.unmet(
            problem.target, f"{one.name} {one.version}", candidates.requires(one)
        )
    ]
