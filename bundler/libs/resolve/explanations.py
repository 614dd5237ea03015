"""Say why a wheelhouse cannot be resolved: both sides of a conflict, and the ways out."""

from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from bundler.errors import InputError, NetworkError
from bundler.libs import effects
from bundler.libs.index import releases, simple_api, suggestions
from bundler.libs.resolve import conflicts
from bundler.libs.resolve.candidates import Candidate, Candidates
from bundler.libs.resolve.conflicts import Conflict, Line, Search
from bundler.libs.resolve.resolution import UnresolvedError
from bundler.libs.resolve.solution import Problem, offer

SHOWN = 6  # releases that a message lists


def explained(problem: Problem, error: UnresolvedError) -> InputError:
    """Return an error with our reasons, and the resolver's output below them."""
    path, target = problem.requirements.path, problem.target
    reasons = error.reasons or _reasons(problem)
    output = "\n".join(f"  {line}" for line in error.output.splitlines())
    lines = "".join(f"\n{line}" for line in reasons)
    report = f"\nThe output of {problem.builder.resolver}:\n{output}" if output else ""
    return InputError(
        f"Cannot resolve {path.name} for {target.name} (Python {target.python}).{lines}{report}"
    )


def _reasons(problem: Problem) -> Sequence[str]:
    # The first kind that is there explains the rest: an absent name makes all else fail, too.
    candidates = offer(problem)
    if direct_conflicts(problem):
        return _conflicts(problem, candidates)
    return _absent(problem) or _impossible(problem, candidates) or _conflicts(problem, candidates)


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


def _impossible(problem: Problem, candidates: Candidates) -> list[str]:
    """Return a sentence for each requirement that no release, or none for the target, meets."""
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
        elif not candidates.of(name):
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


# --- conflicts ---


def _conflicts(problem: Problem, candidates: Candidates) -> list[str]:
    """Return who needs what of whom and does not get it, a sentence or two for each conflict."""
    lines = conflicts.lines_of(problem)
    direct = [line for line in lines if not line.is_constraint and _unmet_by_image(problem, line)]
    sentences = [_unmet_by_image(problem, line) for line in direct]
    search = Search(problem=problem, candidates=candidates)
    involved = [need.need for need in direct]
    try:
        for conflict in search.find([line for line in lines if line not in direct]):
            sentences += _sentences(search, conflict)
            involved += [line.need for line in conflict.lines if conflict.image]
    except NetworkError:
        pass  # what is known without it is more than nothing
    if involved:
        sentences.append(_ways_out(search, involved))
    return sentences


def direct_conflicts(problem: Problem) -> list[str]:
    """Return which lines of the user's the image decides against; no resolver is needed for it."""
    lines = conflicts.lines_of(problem)
    return [text for line in lines if (text := _unmet_by_image(problem, line))]


def _unmet_by_image(problem: Problem, line: Line) -> str:
    package = problem.target.packages.get(canonicalize_name(line.need.name))
    if line.is_constraint or package is None:
        return ""
    if line.need.specifier.contains(package.version, prereleases=True):
        return ""
    path = problem.requirements.path.name
    return f"{path} asks for `{line.need}`; the image has {package.name} {package.version}."


def _sentences(search: Search, conflict: Conflict) -> list[str]:
    asked = " and ".join(f"`{line.need}`" for line in conflict.lines)
    holders = _of_image(search, conflict) if conflict.image else _of_lines(search, conflict)
    if holders:
        return [f"{asked}: {'; '.join(dict.fromkeys(holders))}."]
    if conflict.image:
        packages = search.problem.target.packages
        has = " and ".join(f"{name} {packages[name].version}" for name in conflict.image)
        return [f"{asked} cannot be used with what the image has: {has}."]
    if len(conflict.lines) > 1:
        return [f"{asked} contradict each other."]
    if absent := _absent_needs(search, conflict):
        return [f"{asked}: {'; '.join(absent)}."]
    return [f"{asked}: what it needs cannot be met by any index."]


def _absent_needs(search: Search, conflict: Conflict) -> list[str]:
    """Return who needs a package, or releases of it, that no index has for the target."""
    names = sorted(search.asked(conflict.lines))
    newest = [one for name in names for one in search.candidates.of(name)[:1]]
    return [
        f"{_release(one)} needs {text}"
        for one in newest
        for need in search.candidates.requires(one)
        if (text := _absent_need(need, search.candidates.of(need.name)))
    ]


def _absent_need(need: Requirement, offered: Sequence[Candidate]) -> str:
    name = f"{canonicalize_name(need.name)}{need.specifier}"
    if not offered:
        return f"{name}, which no index has for this target"
    if any(need.specifier.contains(one.version, prereleases=True) for one in offered):
        return ""
    listed = ", ".join(one.version for one in offered[:SHOWN])
    return f"{name}; for this target there is {listed}{', …' if len(offered) > SHOWN else ''}"


def _of_image(search: Search, conflict: Conflict) -> list[str]:
    """Return who needs what of the image and does not get it."""
    answer = search.solve(conflict.lines, conflict.image) or []
    target = search.problem.target
    return [
        line
        for one in answer
        if one.image is None
        for line in effects.unmet(target, _release(one), search.candidates.requires(one))
    ]


def _of_lines(search: Search, conflict: Conflict) -> list[str]:
    """Return who stands against a line of the conflict, in an answer to its other lines."""
    holders = []
    for line in conflict.lines if len(conflict.lines) > 1 else ():
        name = canonicalize_name(line.need.name)
        answer = search.solve([other for other in conflict.lines if other is not line]) or []
        if not any(one.name == name for one in answer):
            continue
        for one in answer:
            for need in search.candidates.requires(one):
                if canonicalize_name(need.name) == name and need.specifier != line.need.specifier:
                    holders.append(f"{_release(one)} needs {name}{need.specifier}")
    return [*holders[:SHOWN], "they contradict each other"] if holders else []


def _release(one: Candidate) -> str:
    return f"{one.name} {one.version}"


def _ways_out(search: Search, involved: Sequence[Requirement]) -> str:
    """Return what a user can do about the image; a release that fits is named where one does."""
    path = search.problem.requirements.path.name
    fitting = []
    for need in involved:
        free = Line(need=Requirement(need.name))
        name = canonicalize_name(need.name)
        for one in search.solve([free]) or ():
            if one.name == name:
                fitting.append(f"`{name}=={one.version}` fits the image")
    accepted = f" ({', '.join(dict.fromkeys(fitting))})" if fitting else ""
    return (
        f"Ways out: require a release that accepts the image's version{accepted}; or bring your "
        f"own: add the package to {path} and end its line with `# replace` (the runner then "
        "imports yours, and packages of the image that were built against its own may break); or "
        "bring everything with --no-delta; or use an image that has the version."
    )
