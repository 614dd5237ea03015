"""wheelhouse.txt: the requirements that a user edits, in pip's syntax."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundler import redaction
from bundler.errors import InputError
from bundler.libs.index import references
from bundler.libs.index.references import Reference
from bundler.libs.index.sources import Sources
from bundler.libs.reading import projects
from bundler.libs.reading.variables import expanded
from bundler.libs.requirements import Requirements

REPLACE = re.compile(r"#\s*replace\s*$", re.IGNORECASE)
COMMENT = re.compile(r"(^|\s)#.*$")
EDITABLE = ("-e", "--editable")  # of a project that is installed on the notebook, nobody edits
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
DEPTH = 10  # of files that include files; a circle would never end


def read(path: Path) -> Requirements:
    """Read a requirements file and what it includes. Raises InputError with file and line.

    It may hold no requirement at all, where the image has everything that is needed.
    """
    wanted: list[Requirement] = []
    constraints: list[Requirement] = []
    replaced: set[str] = set()
    hashes: dict[str, frozenset[str]] = {}
    direct: dict[str, Reference] = {}
    options: dict[str, list[str]] = {"index": [], "extra": [], "links": []}
    for entry in _entries(path, "-r", 0):
        if entry.option:
            options[entry.option].append(_absolute(entry.text, entry.path))
            continue
        need, reference = _parse(entry, path.parent)
        (constraints if entry.kind == "-c" else wanted).append(need)
        name = canonicalize_name(need.name)
        if entry.replaces:
            replaced.add(name)
        if digests := _hashes(entry):
            hashes[name] = hashes.get(name, frozenset()) | digests
        if reference is not None:
            direct[name] = _only(direct.get(name), reference, entry, name)
    sources = Sources(
        index=options["index"][-1] if options["index"] else None,
        extra=tuple(options["extra"]),
        links=tuple(options["links"]),
        base=path.parent.resolve(),
        direct=direct,
    )
    return Requirements(
        path=path,
        wanted=tuple(wanted),
        constraints=tuple(constraints),
        sources=sources,
        replaced=frozenset(replaced),
        hashes=hashes,
    )


def _only(known: Reference | None, new: Reference, entry: "_Entry", name: str) -> Reference:
    """Return the one place that a package is required from. Raises InputError for two."""
    if known is not None and known.shown != new.shown:
        raise InputError(
            f"{entry.where}: {name} is required from {new.shown} and from {known.shown}. Remove "
            "one of the lines."
        )
    return new


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
        """Return the file and the line."""
        return f"{self.path}, line {self.line}"

    @property
    def shown(self) -> str:
        """Return the text as a message may repeat it."""
        return redaction.redacted(self.text)


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
        raise InputError(f"{entry.where}: cannot parse `{entry.shown}`: {error}.") from error
    name, _, value = arguments[0].partition("=")
    if not name.startswith("--") and name[2:]:  # -rfile
        name, value = name[:2], name[2:]
    value = expanded(value or " ".join(arguments[1:]), entry.where)
    if name in EDITABLE and value:
        yield replace(entry, text=entry.text[len(name) :].lstrip(" ="))
    elif name in INCLUDE and value:
        kind = "-c" if entry.kind == "-c" else INCLUDE[name]
        yield from _entries(entry.path.parent / value, kind, depth + 1)
    elif name in INDEX and value:
        yield _Entry(
            text=value, path=entry.path, line=entry.line, kind=entry.kind, option=INDEX[name]
        )
    else:
        known = ", ".join(sorted({*EDITABLE, *INCLUDE, *INDEX}))
        raise InputError(
            f"{entry.where}: unsupported option `{entry.shown}`. Supported are {known}."
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


def _parse(entry: _Entry, base: Path) -> tuple[Requirement, Reference | None]:
    """Return the requirement of a line by its name alone, and where the package is if it says so.

    A reference is shown relative to `base`, the folder of the first file, whatever file it is in.
    """
    text = re.split(r"\s--?[a-z]", entry.text, maxsplit=1)[0].strip()  # pip-compile's hashes
    text = expanded(text, entry.where)
    if references.is_reference(text):
        return _unnamed(text, entry, base)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        detail = str(error).strip().split("\n")[0]
        raise InputError(
            f"{entry.where}: invalid requirement `{entry.shown}` ({detail}). Write a package as "
            "`pydicom>=3.0`, one of your own as `./folder` or `NAME @ git+https://HOST/REPOSITORY`."
        ) from error
    if requirement.url is None:
        return requirement, None
    reference = _reference(requirement.url, entry, base)
    requirement.url = None
    return requirement, reference


def _unnamed(text: str, entry: _Entry, base: Path) -> tuple[Requirement, Reference]:
    """Return what a line requires that is a path or a URL: `./folder[extra] ; marker`."""
    location, _, marker = text.partition(" ;")
    match = re.fullmatch(r"(.*?)(\[[^\]]*\])?", location.strip())
    assert match is not None
    reference = _reference(match[1], entry, base)
    name = projects.name_of(reference)
    if name is None:
        raise InputError(
            f"{entry.where}: the name of the package at `{reference.shown}` is not known before it "
            f"is built. Write `NAME @ {reference.shown}`."
        )
    marker = f" ; {marker.strip()}" if marker.strip() else ""
    try:
        return Requirement(f"{name}{match[2] or ''}{marker}"), reference
    except InvalidRequirement as error:
        raise InputError(f"{entry.where}: invalid requirement `{entry.shown}`.") from error


def _reference(text: str, entry: _Entry, base: Path) -> Reference:
    """Return where a line says that a package is; a path is relative to the line's own file."""
    is_path = "://" not in text
    try:
        location = str(entry.path.parent.resolve() / Path(text).expanduser()) if is_path else text
        return references.parse(location, base)
    except (ValueError, OSError, RuntimeError) as error:  # of a URL, a path, a user's home
        raise InputError(f"{entry.where}: cannot use `{entry.shown}`: {error}.") from error


def _absolute(value: str, path: Path) -> str:
    return value if "://" in value else str((path.parent / value).resolve())
