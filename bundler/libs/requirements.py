"""wheelhouse.txt: the requirements that a user edits, in pip's syntax.

Read here and written again line by line for the resolvers, so that both get the same input and
so that a lock can say which input it was made from.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundler.errors import InputError
from bundler.libs.index.sources import Sources

REPLACE = re.compile(r"#\s*replace\s*$", re.IGNORECASE)
COMMENT = re.compile(r"(^|\s)#.*$")
INCLUDE = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
INDEX = {
    "-i": "index",
    "--index-url": "index",
    "--pypi-url": "index",
    "--extra-index-url": "extra",
    "-f": "links",
    "--find-links": "links",
}
HASH = re.compile(r"--hash[= ](\w+):(\S+)")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
DEPTH = 10  # of files that include files; a circle would never end


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The requirements of a file, with those of all files that it includes."""

    path: Path
    wanted: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...]
    sources: Sources
    replaced: frozenset[str] = frozenset()  # brought even where the image has them: `# replace`
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)  # package → sha256s allowed

    def lines(self) -> list[str]:
        """Return the content in one order and spelling: what a resolution depends on."""
        wanted = [write(requirement) for requirement in self.wanted]
        constraints = [f"-c {write(requirement)}" for requirement in self.constraints]
        hashes = [f"{name} {digest}" for name in self.hashes for digest in self.hashes[name]]
        replaced = [f"# {name}" for name in sorted(self.replaced)]
        return [*sorted(wanted), *sorted(constraints), *replaced, *sorted(hashes)]

    def on(self, environment: dict[str, str]) -> "Requirements":
        """Return what applies on a machine, without markers."""
        return replace(
            self,
            wanted=applying(self.wanted, environment),
            constraints=applying(self.constraints, environment),
        )

    def named(self, name: str) -> list[Requirement]:
        """Return the requirements of a package that the user wrote."""
        return [entry for entry in self.wanted if canonicalize_name(entry.name) == name]


def write(requirement: Requirement) -> str:
    """Return one spelling of a requirement: normalised name, sorted extras."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{extras}{requirement.specifier}{marker}"


def read(path: Path) -> Requirements:
    """Read a requirements file and what it includes. Raises InputError with file and line.

    It may hold no requirement at all, where the image has everything that is needed.
    """
    wanted: list[Requirement] = []
    constraints: list[Requirement] = []
    replaced: set[str] = set()
    hashes: dict[str, frozenset[str]] = {}
    options: dict[str, list[str]] = {"index": [], "extra": [], "links": []}
    for entry in _entries(path, "-r", 0):
        if entry.option:
            options[entry.option].append(_absolute(entry.text, entry.path))
        else:
            target = constraints if entry.kind == "-c" else wanted
            target.append(_parse(entry))
            name = canonicalize_name(target[-1].name)
            if entry.replaces:
                replaced.add(name)
            if digests := _hashes(entry):
                hashes[name] = hashes.get(name, frozenset()) | digests
    sources = Sources(
        index=options["index"][-1] if options["index"] else None,
        extra=tuple(options["extra"]),
        links=tuple(options["links"]),
    )
    return Requirements(
        path=path,
        wanted=tuple(wanted),
        constraints=tuple(constraints),
        sources=sources,
        replaced=frozenset(replaced),
        hashes=hashes,
    )


@dataclass(frozen=True, kw_only=True)
class _Entry:
    text: str
    path: Path
    line: int
    kind: str  # -r or -c
    option: str = ""
    replaces: bool = False

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.line}"


def _entries(path: Path, kind: str, depth: int) -> Iterator[_Entry]:
    if depth > DEPTH:
        raise InputError(
            f"{path} includes itself, directly or by another file. Remove one of the `-r` lines."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Cannot read {path}: {reason}. Choose another file with --requirements, or create "
            "this one with the packages that the notebook's image lacks, one on each line."
        ) from error
    for line, content, replaces in _logical_lines(text):
        entry = _Entry(text=content, path=path, line=line, kind=kind, replaces=replaces)
        if content.startswith("-"):
            yield from _option(entry, depth)
        else:
            yield entry


def _logical_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (number of its first line, content without its comment, whether that is `# replace`).

    Continued lines are joined.
    """
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1] + " "
            continue
        content = COMMENT.sub("", pending + line).strip()
        if content:
            yield first, content, bool(REPLACE.search(line))
        pending, first = "", 0
    if pending.strip():
        yield first, pending.strip(), False


def _option(entry: _Entry, depth: int) -> Iterator[_Entry]:
    try:
        arguments = shlex.split(entry.text)
    except ValueError as error:
        raise InputError(f"{entry.where}: cannot parse `{entry.text}`: {error}.") from error
    name, _, value = arguments[0].partition("=")
    if not name.startswith("--") and name[2:]:  # -rfile
        name, value = name[:2], name[2:]
    value = _expanded(value or " ".join(arguments[1:]), entry)
    if name in INCLUDE and value:
        kind = "-c" if entry.kind == "-c" else INCLUDE[name]
        yield from _entries(entry.path.parent / value, kind, depth + 1)
    elif name in INDEX and value:
        yield _Entry(
            text=value, path=entry.path, line=entry.line, kind=entry.kind, option=INDEX[name]
        )
    else:
        known = ", ".join(sorted({*INCLUDE, *INDEX}))
        raise InputError(
            f"{entry.where}: unsupported option `{entry.text}`. Supported are {known}. (Only "
            "published packages can be pinned by a hash.)"
        )


def _hashes(entry: _Entry) -> frozenset[str]:
    """Return the sha256s that a line allows, as pip-compile writes them. Raises InputError."""
    given = HASH.findall(entry.text)
    for algorithm, digest in given:
        if algorithm != "sha256" or not re.fullmatch("[0-9a-f]{64}", digest):
            raise InputError(
                f"{entry.where}: `--hash={algorithm}:{digest[:12]}…` is no sha256, which is what "
                "indexes give. Replace it with the file's sha256."
            )
    return frozenset(digest for _, digest in given)


def _expanded(value: str, entry: _Entry) -> str:
    """Return an option's value with its `${VARIABLES}` replaced, as pip has it."""
    for name in VARIABLE.findall(value):
        if name not in os.environ:
            raise InputError(
                f"{entry.where}: the environment variable {name} is not set. Set it, or remove it "
                "from the line."
            )
    return VARIABLE.sub(lambda match: os.environ[match[1]], value)


def _parse(entry: _Entry) -> Requirement:
    text = re.split(r"\s--?[a-z]", entry.text, maxsplit=1)[0].strip()  # pip-compile's hashes
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        detail = str(error).strip().split("\n")[0]
        raise InputError(
            f"{entry.where}: invalid requirement `{entry.text}` ({detail}). Write a package as "
            "`pydicom>=3.0`; a path cannot be pinned."
        ) from error
    if requirement.url:
        raise InputError(
            f"{entry.where}: `{requirement.name}` is required by a URL, which no index can "
            "verify. Put its wheel into a folder, add the line `--find-links FOLDER`, and require "
            f"`{requirement.name}`."
        )
    return requirement


def _absolute(value: str, path: Path) -> str:
    return value if "://" in value else str((path.parent / value).resolve())


def applying(
    requirements: Iterable[Requirement], environment: dict[str, str]
) -> tuple[Requirement, ...]:
    """Return the requirements whose markers hold in an environment, without their markers."""
    held = [Requirement(str(need)) for need in requirements if holds(need.marker, environment)]
    for need in held:
        need.marker = None
    return tuple(held)


def holds(marker: Marker | None, environment: dict[str, str], extra: str = "") -> bool:
    """Say whether a marker holds on a machine, for one extra or for none."""
    return marker is None or marker.evaluate({**environment, "extra": extra})
