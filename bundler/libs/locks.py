"""wheelhouse.lock: what a resolution answered, to be committed and reviewed. It holds no URLs."""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import InputError
from bundler.libs.resolve.resolution import Pin
from inference.boot.manifest import canonical

FORMAT = 1
HEADER = "# Written by `rsna-bundle libs`: commit it, and review what changes. No hand edits.\n"


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
        head = {
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
            table = {"name": item.name, "version": item.version, "via": list(item.via)}
            blocks.append("\n[[provided]]\n" + _table(table))
        return "".join(blocks)


def _pin_table(pin: Pin) -> dict[str, Any]:
    table: dict[str, Any] = {"name": pin.name, "version": pin.version, "file": pin.file}
    table |= {"sha256": pin.sha256, "bytes": pin.bytes, "via": list(pin.via)}
    return table | ({"built-from": pin.built_from} if pin.built_from else {})


def _table(values: dict[str, Any]) -> str:
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
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _broken(path, str(error)) from error
    if content.get("format") != FORMAT:
        raise _broken(path, f"its format is {content.get('format')!r}, not {FORMAT}")
    try:
        return Lock(
            target=content["target"],
            target_digest=content["target-digest"],
            python=content["python"],
            inputs=content["inputs"],
            resolver=content["resolver"],
            notes=tuple(content.get("notes", ())),
            pins=tuple(_parse_pin(entry) for entry in content.get("package", ())),
            build=tuple(_parse_pin(entry) for entry in content.get("build", ())),
            provided=tuple(
                Provided(name=item["name"], version=item["version"], via=tuple(item.get("via", ())))
                for item in content.get("provided", ())
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(path, repr(error)) from error


def _parse_pin(entry: dict[str, Any]) -> Pin:
    return Pin(
        name=entry["name"],
        version=entry["version"],
        file=entry["file"],
        sha256=entry["sha256"],
        bytes=entry.get("bytes"),
        via=tuple(entry.get("via", ())),
        built_from=entry.get("built-from"),
    )


def _broken(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is no lock that this version reads ({reason}). Restore it from git, or delete it "
        "and run `rsna-bundle libs`."
    )


def changes(old: Lock | None, new: Lock) -> list[str]:
    """Return what a new lock changes, for people: the target first, then package by package."""
    if old is None or old == new:
        return []
    found = []
    if old.target_digest != new.target_digest:
        found.append(_target_change(old, new))
    before = {pin.name: pin for pin in old.pins}
    after = {pin.name: pin for pin in new.pins}
    provided = {item.name: item.version for item in new.provided}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one and two and one.version != two.version:
            found.append(f"{name} {one.version} → {two.version}")
        elif one and two and one.sha256 != two.sha256:
            found.append(f"{name} {two.version}, another file: {two.file}")
        elif two and not one:
            found.append(f"+ {name} {two.version}")
        elif one and not two:
            has = f": the image has {provided[name]}" if name in provided else ""
            found.append(f"- {name} {one.version}{has}")
    return found


def _target_change(old: Lock, new: Lock) -> str:
    if old.python.split(".")[:2] != new.python.split(".")[:2]:
        return (
            f"target {old.target} → {new.target}: Python {old.python} → {new.python}, so every "
            "compiled wheel is another one, and the old bundle does not install there"
        )
    return (
        f"target {old.target} → {new.target}: its packages or platform have changed "
        "(`rsna-bundle target diff` says how)"
    )


def inputs(**all_that_matters: Any) -> str:
    """Return the digest of what a resolution depends on."""
    return hashlib.sha256(canonical(all_that_matters)).hexdigest()
