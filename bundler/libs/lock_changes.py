"""What a new lock changes, written and reported: the target first, then package by package."""

from pathlib import Path

from bundler import atomic
from bundler.libs.locks import Lock


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
