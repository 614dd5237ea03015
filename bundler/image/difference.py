"""What moved between two targets: the Python, the tags, the packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bundler.image.target import Target
from bundler.result import Json

Fact: TypeAlias = str | int | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Changes from one target to another; each pair is (before, after).

    What is not known of one of the two is in neither of the other lists.
    """

    facts: dict[str, tuple[Fact, Fact]]
    added: dict[str, str]
    removed: dict[str, str]
    moved: dict[str, tuple[str, str]]
    unknown: dict[str, tuple[str | None, str | None]]  # None: a version that is not known
    same_image: bool | None = None  # by the images' digests; None: one of them is not known

    def __bool__(self) -> bool:
        return bool(self.facts or self.added or self.removed or self.moved or self.unknown)

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "facts": self.facts,
            "added": self.added,
            "removed": self.removed,
            "moved": self.moved,
            "unknown": self.unknown,
            "same_image": self.same_image,
        }

    def summary(self) -> str:
        """Return a list for people, what breaks wheels first."""
        images = {
            True: "Both describe the same image, by its digest.",
            False: "",
            None: "Whether it is the same image is not known: a digest is missing.",
        }[self.same_image]
        if not self:
            return f"The two targets are the same. {images}".rstrip()
        lines = [f"{key}: {old} → {new}" for key, (old, new) in self.facts.items()]
        if len({_minor(python) for python in self.facts.get("python", ())}) > 1:
            lines.append("  Wheels built for the one Python do not install on the other.")
        lines += [f"  {name} {old} → {new}" for name, (old, new) in self.moved.items()]
        lines += [f"+ {name} {version}" for name, version in self.added.items()]
        lines += [f"- {name} {version}" for name, version in self.removed.items()]
        lines += [
            f"? {name} {old or 'not known'} → {new or 'not known'}"
            for name, (old, new) in self.unknown.items()
        ]
        counts = f"{len(self.moved)} moved, {len(self.added)} added, {len(self.removed)} removed"
        counts += f", {len(self.unknown)} not known" if self.unknown else ""
        return "\n".join([*lines, f"packages: {counts}", *([images] if images else [])])


def _minor(python: Fact) -> tuple[str, ...]:
    return tuple(str(python).split(".")[:2])


def _unknown(old: Target, new: Target) -> dict[str, tuple[str | None, str | None]]:
    """Return the packages whose version one target does not know, where the other differs.

    Of a package that neither knows the version of, nothing moved as far as one can see.
    """
    pairs: dict[str, tuple[str | None, str | None]] = {}
    for name in sorted(old.unversioned_packages.keys() ^ new.unversioned_packages.keys()):
        before, after = old.packages.get(name), new.packages.get(name)
        pairs[name] = (before.version if before else None, after.version if after else None)
    return pairs


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
            "image",
        )
        if getattr(old, key) != getattr(new, key)
    }
    unknown = _unknown(old, new)
    digests = (old.image_digest, new.image_digest)
    return Difference(
        facts=facts,
        unknown=unknown,
        same_image=None if None in digests else digests[0] == digests[1],
        added={name: after[name].version for name in after if name not in {*before, *unknown}},
        removed={name: before[name].version for name in before if name not in {*after, *unknown}},
        moved={
            name: (before[name].version, after[name].version)
            for name in before
            if name in after and before[name].version != after[name].version
        },
    )
