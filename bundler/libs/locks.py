"""wheelhouse.lock: what a resolution answered, to be committed and reviewed. It holds no URLs."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bundler import atomic
from bundler.errors import InputError
from bundler.libs.resolve.resolution import Pin
from inference.boot.manifest import canonical

FORMAT = 1
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

    def text(self) -> str:
        """Return the file's text."""
        head: dict[str, Value] = {
            "format": FORMAT,
            "target": self.target,
            "target-digest": self.target_digest,
            "python": self.python,
            "inputs": self.inputs,
            "resolver": self.resolver,
            "notes": list(self.notes),
        }
        blocks = [HEADER + _table(head)]
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
    # No URL: it may hold credentials, and another index may serve the same file.
    return {
        "name": pin.name,
        "version": pin.version,
        "file": pin.file,
        "sha256": pin.sha256,
        "bytes": pin.bytes,
        "via": list(pin.via),
        "built-from": pin.built_from,
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
    """Return the lock that a text describes. Raises InputError, which names `path`."""
    try:
        content = tomllib.loads(text)
        if content.get("format") != FORMAT:
            raise ValueError(f"its format is {content.get('format')!r}, not {FORMAT}")
        return Lock(
            target=_text(content["target"]),
            target_digest=_text(content["target-digest"]),
            python=_text(content["python"]),
            inputs=_text(content["inputs"]),
            resolver=_text(content["resolver"]),
            notes=_texts(content.get("notes", [])),
            pins=tuple(_parse_pin(entry) for entry in content.get("package", [])),
            build=tuple(_parse_pin(entry) for entry in content.get("build", [])),
            provided=tuple(_parse_provided(entry) for entry in content.get("provided", [])),
        )
    except KeyError as error:
        raise _malformed(path, f"{error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _malformed(path, str(error)) from error


def _parse_pin(entry: Any) -> Pin:
    size, built_from = entry.get("bytes"), entry.get("built-from")
    if size is not None and type(size) is not int:
        raise ValueError(f"bytes is {size!r}, not a number")
    return Pin(
        name=_text(entry["name"]),
        version=_text(entry["version"]),
        file=_text(entry["file"]),
        sha256=_text(entry["sha256"]),
        bytes=size,
        via=_texts(entry.get("via", [])),
        built_from=None if built_from is None else _text(built_from),
    )


def _parse_provided(entry: Any) -> Provided:
    name, version = _text(entry["name"]), _text(entry["version"])
    return Provided(name=name, version=version, via=_texts(entry.get("via", [])))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{values!r} is not a list")
    return tuple(_text(value) for value in values)


def _malformed(path: Path, reason: str) -> InputError:
    return InputError(
        f"Cannot read the lock {path}: {reason}. Restore it from git, or delete it and run "
        "`rsna-bundle libs`."
    )


def write(new: Lock, old: Lock | None, path: Path) -> tuple[str, ...]:
    """Write a lock where it differs from the one that is there; return what that changes."""
    if new != old:
        atomic.write_text(path, new.text())
    return tuple(changes(old, new))


def changes(old: Lock | None, new: Lock) -> list[str]:
    """Return what a new lock changes, for people: the target first, then package by package."""
    if old is None or old == new:
        return []
    lines = []
    if old.target_digest != new.target_digest:
        lines.append(_target_change(old, new))
    before = {pin.name: pin for pin in old.pins}
    after = {pin.name: pin for pin in new.pins}
    provided = {item.name: item.version for item in new.provided}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one and two and one.version != two.version:
            lines.append(f"{name} {one.version} → {two.version}")
        elif one and two and one.sha256 != two.sha256:
            lines.append(f"{name} {two.version}, another file: {two.file}")
        elif two and not one:
            lines.append(f"+ {name} {two.version}")
        elif one and not two:
            has = f": the image has {provided[name]}" if name in provided else ""
            lines.append(f"- {name} {one.version}{has}")
    return lines


def _target_change(old: Lock, new: Lock) -> str:
    if old.python.split(".")[:2] != new.python.split(".")[:2]:
        return (
            f"target {old.target} → {new.target}: Python {old.python} → {new.python}, so every "
            "compiled wheel changes, and the old bundle does not install on the new image"
        )
    return (
        f"target {old.target} → {new.target}: its packages or platform have changed "
        "(`rsna-bundle target diff` says how)"
    )


def digest_inputs(*, lines: Sequence[str], target: str, delta: bool, allow_sdist: bool) -> str:
    """Return the digest of what a resolution depends on; `target` is the target's digest."""
    about = {"lines": lines, "target": target, "delta": delta, "allow_sdist": allow_sdist}
    return hashlib.sha256(canonical(about)).hexdigest()
