"""What a libs bundle has to hold: requirements and constraints, whatever file they were read from.

Written line by line for the resolvers, so that both get the same input and so that a lock can say
which input it was made from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.image.target import Target
from bundler.libs.index.sources import Sources

SHOWN = 12  # versions that a note lists


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The requirements of a file, with those of all files that it includes."""

    path: Path
    wanted: tuple[Requirement, ...]  # by names alone: where single packages are is in `sources`
    constraints: tuple[Requirement, ...]
    sources: Sources
    replaced: frozenset[str] = frozenset()  # brought even where the image has them: `# replace`
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)  # package → sha256s allowed
    locked: tuple[Requirement, ...] | None = None  # the pins of another tool's lock
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the content in one order and spelling: what a resolution depends on."""
        wanted = [write(requirement) for requirement in self.wanted]
        limits = (*self.constraints, *(self.locked or ()))
        constraints = [f"-c {write(requirement)}" for requirement in limits]
        hashes = [f"{name} {digest}" for name in self.hashes for digest in self.hashes[name]]
        replaced = [f"# {name}" for name in self.replaced]
        sources = self.sources
        direct = [f"{name} @ {one.shown} {one.sha256}" for name, one in sources.direct.items()]
        pinned = [f"{name} from {sources.shown(url)}" for name, url in sources.pinned.items()]
        listed = (wanted, constraints, replaced, hashes, direct, pinned)
        return [line for lines in listed for line in sorted(lines)]

    def on(self, environment: dict[str, str]) -> "Requirements":
        """Return what applies on a machine, without markers."""
        wanted = applying(self.wanted, environment)
        constraints = applying(self.constraints, environment)
        names = {canonicalize_name(need.name) for need in (*wanted, *constraints)}
        names |= {canonicalize_name(need.name) for need in self.locked or ()}
        # What is for another machine alone is not fetched for this one.
        direct = {name: one for name, one in self.sources.direct.items() if name in names}
        return replace(
            self,
            wanted=wanted,
            constraints=constraints,
            sources=replace(self.sources, direct=direct),
        )

    def beside(self, image: Target) -> "Requirements":
        """Return what has to be met beside an image, whose versions another tool did not know.

        A lock of a whole environment pins what the image has, too: there the image decides, and
        what the other packages need of it is checked all the same.
        """
        held, others = [], []
        for pin in self.locked or ():
            package = image.packages.get(canonicalize_name(pin.name))
            if package is None:
                held.append(pin)
            elif not pin.specifier.contains(package.version, prereleases=True):
                version = str(pin.specifier).removeprefix("==")
                others.append(f"{package.name} {version} → {package.version}")
        notes = (*self.notes, *([self._note(sorted(others))] if others else []))
        return replace(self, constraints=(*self.constraints, *held), notes=notes)

    def _note(self, others: list[str]) -> str:
        """Say which versions of a lock are not the image's."""
        listed = ", ".join(others[:SHOWN])
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        return f"{self.path.name} has other versions than the image, which stays: {listed}{more}."

    def named(self, name: str) -> list[Requirement]:
        """Return the requirements of a package that the user wrote."""
        return [entry for entry in self.wanted if canonicalize_name(entry.name) == name]


def write(requirement: Requirement) -> str:
    """Return one spelling of a requirement: normalised name, sorted extras."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{extras}{requirement.specifier}{marker}"


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
