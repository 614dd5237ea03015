"""Whether bundle and image together meet every requirement, and who requires what."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.errors import BundlerError
from bundler.image.target import Target
from bundler.libs.locks import Provided
from bundler.libs.requirements import holds
from bundler.libs.wheels import Wheel


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What is reached from the requirements: in the bundle, in the image, or nowhere."""

    via: dict[str, tuple[str, ...]]
    provided: tuple[Provided, ...]
    unmet: tuple[str, ...]
    unused: tuple[str, ...]
    image_gaps: tuple[str, ...]  # what the image's own packages lack; it may work all the same
    unknown: tuple[str, ...]  # what would have to be known to say that nothing is missing


@dataclass(kw_only=True)
class _Search:
    """The breadth-first search from requirement to requirement."""

    target: Target
    wheels: Mapping[str, Wheel]
    open: deque[tuple[str, Requirement]] = field(default_factory=deque)
    seen: set[tuple[str, str]] = field(default_factory=set)  # package and extra
    via: dict[str, set[str]] = field(default_factory=dict)
    unmet: set[str] = field(default_factory=set)
    gaps: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def visit(self, who: str, need: Requirement) -> None:
        """Follow one requirement into the bundle, else into the image."""
        name = canonicalize_name(need.name)
        version, needs = self._look_up(name)
        unversioned = self.target.unversioned_packages
        if version is None and who in self.target.packages and name in unversioned:
            return  # the image has it, but whether in a version that fits is not known
        if version is None or not need.specifier.contains(version, prereleases=True):
            state = f"the version is {version}" if version else "nothing provides it"
            line = f"{who} needs {_plain(need)}; {state}"
            (self.gaps if who in self.target.packages else self.unmet).add(line)
            return
        self.via.setdefault(name, set()).add(who)
        if need.extras and name not in self.wheels and self.target.packages[name].requires is None:
            extras = ", ".join(sorted(need.extras))
            self.unknown.add(f"what the image's {name} {version} needs for its extra {extras}")
        for extra in ("", *need.extras):
            if (name, extra) not in self.seen:
                self.seen.add((name, extra))
                self.open += ((name, inner) for inner in needs if self._applies(inner, extra))

    def _look_up(self, name: str) -> tuple[str | None, Iterable[Requirement]]:
        if name in self.wheels:
            return self.wheels[name].version, self.wheels[name].requires
        package = self.target.packages.get(name)
        return (package.version, package.needs()) if package else (None, ())

    def _applies(self, need: Requirement, extra: str) -> bool:
        environment = self.target.environment
        if not extra:
            return holds(need.marker, environment)
        return holds(need.marker, environment, extra) and not holds(need.marker, environment)


def follow(
    target: Target, wanted: Iterable[Requirement], wheels: Iterable[Wheel], name: str
) -> Closure:
    """Follow what the file `name` requires through bundle and image."""
    by_name = {wheel.name: wheel for wheel in wheels}
    search = _Search(target=target, wheels=by_name)
    search.open += ((name, need) for need in wanted)
    while search.open:
        search.visit(*search.open.popleft())
    via = {package: tuple(sorted(who)) for package, who in sorted(search.via.items())}
    return Closure(
        via=via,
        provided=tuple(
            Provided(name=package, version=target.packages[package].version, via=who)
            for package, who in via.items()
            if package not in by_name
        ),
        unmet=tuple(sorted(search.unmet)),
        unused=tuple(sorted(by_name.keys() - via.keys())),
        image_gaps=tuple(sorted(search.gaps)),
        unknown=tuple(sorted(search.unknown)),
    )


def check(closure: Closure) -> None:
    """Raise BundlerError where a requirement is met by neither the bundle nor the image."""
    if closure.unmet:
        lines = "".join(f"\n  {line}" for line in closure.unmet)
        raise BundlerError(
            f"The bundle and the image together do not meet every requirement:{lines}\n"
            "Run `rsna-bundle libs --upgrade`. If that does not help, the index and the wheel "
            "disagree about what the package needs: pin another release of it."
        )


def overwritten(wheels: Iterable[Wheel]) -> list[str]:
    """Return which wheels install the same file: of two such wheels only one works."""
    owner: dict[str, str] = {}
    clashes: dict[tuple[str, str], str] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        for member in (member.name for member in wheel.members):
            if ".dist-info/" in member:
                continue
            other = owner.setdefault(member, wheel.name)
            if other != wheel.name:
                clashes.setdefault((other, wheel.name), member)
    return [
        f"{one} and {two} both install {member}: whichever is installed last wins. Keep one."
        for (one, two), member in clashes.items()
    ]


def _plain(need: Requirement) -> str:
    return f"{canonicalize_name(need.name)}{need.specifier}"
