"""wheelhouse.lock: what a resolution answered, to be committed and reviewed.

It names where each package is of, without credentials, and no URL of a file.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from bundler.errors import InputError
from bundler.libs.index.references import COMMIT
from bundler.libs.resolve.resolution import Pin
from inference.boot.manifest import canonical, check_name

FORMAT = 1
SHA256 = re.compile(r"[0-9a-f]{64}")
Item = TypeVar("Item")
HEADER = "# Written by `rsna-bundle libs`: commit it, and review what changes. No hand edits.\n"
Value: TypeAlias = str | int | list[str] | None  # of a key in a table of the file


@dataclass(frozen=True, kw_only=True)
class Provided:
    """A package that the target has already, and who needs it."""

    name: str
    version: str
    via: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a wheelhouse consists of, for one target."""

    target: str
    target_digest: str
    python: str
    inputs: str  # the digest of all that the resolution depended on
    resolver: str
    pins: tuple[Pin, ...]
    provided: tuple[Provided, ...] = ()
    build: tuple[Pin, ...] = ()  # what sdists need to be built on the notebook
    notes: tuple[str, ...] = ()
    is_edited: bool = False  # by hand, since it was written

    @property
    def digest(self) -> str:
        """Return the digest of all that the lock says, by which an edit is noticed."""
        return hashlib.sha256(self._body(None).encode()).hexdigest()

    def text(self) -> str:
        """Return the file's text."""
        return HEADER + self._body(self.digest)

    def _body(self, digest: str | None) -> str:
        head: dict[str, Value] = {
            "format": FORMAT,
            "target": self.target,
            "target-digest": self.target_digest,
            "python": self.python,
            "inputs": self.inputs,
            "resolver": self.resolver,
            "notes": list(self.notes),
            "digest": digest,
        }
        blocks = [_table(head)]
        blocks += ["\n[[package]]\n" + _table(_pin_table(pin)) for pin in self.pins]
        blocks += ["\n[[build]]\n" + _table(_pin_table(pin)) for pin in self.build]
        for item in self.provided:
            table: dict[str, Value] = {
                "name": item.name,
                "version": item.version,
                "via": list(item.via),
            }
            blocks.append("\n[[provided]]\n" + _table(table))
        return "".join(blocks)


def _pin_table(pin: Pin) -> dict[str, Value]:
    # Not the file's URL: it may hold credentials, and another index may serve the same file.
    return {
        "name": pin.name,
        "version": pin.version,
        "file": pin.file,
        "sha256": pin.sha256,
        "bytes": pin.bytes,
        "via": list(pin.via),
        "built-from": pin.built_from,
        "origin": pin.origin or None,
        "commit": pin.commit or None,
    }


def _table(values: Mapping[str, Value]) -> str:
    """Write keys and values as TOML; JSON's strings, numbers and lists of strings are TOML's."""
    lines = []
    for key, value in values.items():
        if isinstance(value, list) and len(value) > 1:
            items = "".join(f"    {json.dumps(item, ensure_ascii=False)},\n" for item in value)
            lines.append(f"{key} = [\n{items}]\n")
        elif value not in (None, []):
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines).replace("\x7f", "\\u007f")  # the one character that only TOML refuses


def read(path: Path) -> Lock | None:
    """Return the lock, or None where there is none yet. Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _malformed(path, str(error)) from error
    return parse(text, path)


def parse(text: str, path: Path) -> Lock:
    """Return the lock that a text describes. Raises InputError, which names `path` and the line.

    The text may come from anybody: what it names is checked here, before anything is done with it.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its message has the line
        raise _malformed(path, str(error)) from error
    try:
        lock = _parse_head(content)
        lock = replace(
            lock,
            pins=tuple(_entries(content, "package", _parse_pin)),
            build=tuple(_entries(content, "build", _parse_pin)),
            provided=tuple(_entries(content, "provided", _parse_provided)),
        )
        _check_names(lock)
    except _EntryError as error:
        line = _line_of(text, error.table, error.number, error.key)
        raise _malformed(path, f"line {line}: {error}") from error
    return replace(lock, is_edited=content.get("digest") != lock.digest)


def _check_names(lock: Lock) -> None:
    """Raise _EntryError where a package is there twice: pip would refuse both."""
    for table, pins in (("package", lock.pins), ("build", lock.build)):
        names = [pin.name for pin in pins]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise _EntryError(f"{name} is there twice", "name", table, number)


class _EntryError(Exception):
    """A value is missing or wrong: in the n-th entry of a table, or in the head (no table)."""

    def __init__(self, reason: str, key: str, table: str = "", number: int = 0) -> None:
        super().__init__(reason)
        self.key, self.table, self.number = key, table, number


def _line_of(text: str, table: str, number: int, key: str) -> int:
    """Return the number of the line of a key in the n-th entry of a table, or of the entry."""
    current, seen, start = "", -1, 1
    for count, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            current = line.strip(" []")
            seen += current == table
            start = count if (current, seen) == (table, number) else start
        inside = current == table and (seen == number or not table)
        if inside and line.partition("=")[0].strip() == key:
            return count
    return start


def _entries(
    content: Mapping[str, Any], table: str, parse_entry: Callable[[Mapping[str, Any]], Item]
) -> Iterator[Item]:
    entries = content.get(table, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _EntryError(f"{table} is not a list of tables", table)
    for number, entry in enumerate(entries):
        try:
            yield parse_entry(entry)
        except _EntryError as error:
            raise _EntryError(str(error), error.key, table, number) from error


def _parse_head(content: Mapping[str, Any]) -> Lock:
    if content.get("format") != FORMAT:
        raise _EntryError(f"its format is {content.get('format')!r}, not {FORMAT}", "format")
    return Lock(
        target=_text(content, "target"),
        target_digest=_text(content, "target-digest"),
        python=_text(content, "python"),
        inputs=_text(content, "inputs"),
        resolver=_text(content, "resolver"),
        notes=_texts(content, "notes"),
        pins=(),
    )


def _parse_pin(entry: Mapping[str, Any]) -> Pin:
    """Return a pin whose file is a plain name of its package and version."""
    name, version, file = (_text(entry, key) for key in ("name", "version", "file"))
    if canonicalize_name(name) != name or not name:
        raise _EntryError(f"{name!r} is not the normal name of a package", "name")
    if named := _wrong_name(file, name, version):
        raise _EntryError(named, "file")
    size = entry.get("bytes")
    if size is not None and (type(size) is not int or size < 0):
        raise _EntryError(f"bytes is {size!r}, not a number", "bytes")
    built_from = _optional(entry, "built-from") or None
    if built_from is not None:
        source, _, digest = built_from.partition(" ")
        if not SHA256.fullmatch(digest) or _wrong_name(source, name, version):
            raise _EntryError(
                f"built-from is {built_from!r}, not an sdist and its sha256", "built-from"
            )
    sha256 = _text(entry, "sha256")
    if not SHA256.fullmatch(sha256):
        raise _EntryError(f"sha256 is {sha256!r}, not a digest", "sha256")
    return Pin(
        name=name,
        version=version,
        file=file,
        sha256=sha256,
        bytes=size,
        via=_texts(entry, "via"),
        built_from=built_from,
        origin=_optional(entry, "origin"),
        commit=_commit(entry),
    )


def _wrong_name(file: str, name: str, version: str) -> str:
    """Return what is wrong with a file's name: it must be one of this package and version."""
    try:
        check_name(file)  # a path would lead out of the cache
        if file.endswith(".whl"):
            named = parse_wheel_filename(file)[:2]
        else:
            named = parse_sdist_filename(file)
        if "/" not in file and named == (name, Version(version)):
            return ""
    except (ValueError, InvalidVersion, InvalidWheelFilename, InvalidSdistFilename):
        pass
    return f"{file!r} is not a file of {name} {version}"


def _parse_provided(entry: Mapping[str, Any]) -> Provided:
    name, version = _text(entry, "name"), _text(entry, "version")
    return Provided(name=name, version=version, via=_texts(entry, "via"))


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        raise _EntryError(f"{key} is missing", key)
    if not isinstance(value, str):
        raise _EntryError(f"{key} is {value!r}, not a string", key)
    return value


def _optional(entry: Mapping[str, Any], key: str) -> str:
    return "" if entry.get(key) is None else _text(entry, key)


def _commit(entry: Mapping[str, Any]) -> str:
    """Return the commit of a pin, which git is asked for: nothing that it takes for an option."""
    commit = _optional(entry, "commit")
    if commit and not COMMIT.fullmatch(commit):
        raise _EntryError(f"commit is {commit!r}, not a commit's 40 digits", "commit")
    return commit


def _texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = entry.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _EntryError(f"{key} is {values!r}, not a list of strings", key)
    return tuple(values)


def _malformed(path: Path, reason: str) -> InputError:
    return InputError(
        f"Cannot read the lock {path}: {reason}. Restore it from git, or delete it and run "
        "`rsna-bundle libs`."
    )


def digest_inputs(*, lines: Sequence[str], target: str, delta: bool, allow_sdist: bool) -> str:
    """Return the digest of what a resolution depends on; `target` is the target's digest."""
    about = {"lines": lines, "target": target, "delta": delta, "allow_sdist": allow_sdist}
    return hashlib.sha256(canonical(about)).hexdigest()
