"""What moved between two targets: the Python, the tags, the packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bundler.image.target import Target
from bundler.result import Json

Fact: TypeAlias = str | int | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Changes from one target to another; each pair is (before, after)."""

    facts: dict[str, tuple[Fact, Fact]]
    added: dict[str, str]
    removed: dict[str, str]
    moved: dict[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.facts or self.added or self.removed or self.moved)

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "facts": self.facts,
            "added": self.added,
            "removed": self.removed,
            "moved": self.moved,
        }

    def summary(self) -> str:
        """Return a list for people, what breaks wheels first."""
        if not self:
            return "The two targets are the same."
        lines = [f"{key}: {old} → {new}" for key, (old, new) in self.facts.items()]
        if len({_minor(python) for python in self.facts.get("python", ())}) > 1:
            lines.append("  Wheels built for the one Python do not install on the other.")
        lines += [f"  {name} {old} → {new}" for name, (old, new) in self.moved.items()]
        lines += [f"+ {name} {version}" for name, version in self.added.items()]
        lines += [f"- {name} {version}" for name, version in self.removed.items()]
        counts = f"{len(self.moved)} moved, {len(self.added)} added, {len(self.removed)} removed"
        return "\n".join([*lines, f"packages: {counts}"])


def _minor(python: Fact) -> tuple[str, ...]:
    return tuple(str(python).split(".")[:2])


def between(old: Target, new: Target) -> Difference:
    """Return what changed from `old` to `new`."""
    before, after = old.packages, new.packages
    facts = {
        key: (getattr(old, key), getattr(new, key))
        for key in (
            "python",
            "system",
            "machine",
            "release",
            "cuda",
            "cpus",
            "memory_bytes",
            "gpus",
        )
        if getattr(old, key) != getattr(new, key)
    }
    return Difference(
        facts=facts,
        added={name: after[name].version for name in after if name not in before},
        removed={name: before[name].version for name in before if name not in after},
        moved={
            name: (before[name].version, after[name].version)
            for name in before
            if name in after and before[name].version != after[name].version
        },
    )
