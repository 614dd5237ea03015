"""What a bundle and the target's image would do to each other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.image import imports
from bundler.image.target import Target
from bundler.libs.requirements import holds
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel


def unmet(target: Target, who: str, needs: Iterable[Requirement]) -> Iterator[str]:
    """Yield what somebody needs of the image's packages and does not get: both sides named."""
    for need in needs:
        package = target.packages.get(canonicalize_name(need.name))
        if package is None or not holds(need.marker, target.environment):
            continue
        if not need.specifier.contains(package.version, prereleases=True):
            wanted = f"{package.name}{need.specifier}"
            yield f"{who} needs {wanted}; the image has {package.name} {package.version}"


def shadowed(target: Target, pins: Iterable[Pin]) -> list[str]:
    """Return the image's packages that the bundle's own versions would hide: `name old → new`."""
    return [
        f"{pin.name} {target.packages[pin.name].version} → {pin.version}"
        for pin in pins
        if pin.name in target.packages
        and Version(target.packages[pin.name].version) != Version(pin.version)
    ]


def broken(target: Target, pins: Iterable[Pin]) -> list[str]:
    """Return which packages of the image would meet a version that they do not accept."""
    brought = {pin.name: pin.version for pin in pins}
    lines = []
    for package in target.installed:
        if package.name in brought:
            continue
        for need in package.needs(brought):
            version = brought.get(canonicalize_name(need.name))
            if version is None or not holds(need.marker, target.environment):
                continue
            if not need.specifier.contains(version, prereleases=True):
                wanted = f"{canonicalize_name(need.name)}{need.specifier}"
                who = f"the image's {package.name} {package.version}"
                lines.append(f"{who} needs {wanted}; the bundle would bring {version}")
    return lines


def in_unknown_version(target: Target, pins: Iterable[Pin]) -> list[str]:
    """Return what the bundle brings because nothing can rely on the image's own version of it."""
    lines = target.unversioned_packages
    return [
        f"{pin.name} {pin.version}: the image has it, too ({lines[pin.name]}), in a version that "
        "is not known"
        for pin in pins
        if pin.name in lines
    ]


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """A package of the image, with what one imports of it as far as that is known."""

    package: str  # with its version, for people
    modules: tuple[str, ...]
    is_known: bool

    def shares(self, module: str) -> bool:
        """Say whether a module of a wheel is this package's, or lies in it, or holds it."""
        if module in self.modules or not self.is_known:
            return module in self.modules
        return any(
            module.startswith(f"{own}.") or own.startswith(f"{module}.") for own in self.modules
        )


def hidden_modules(target: Target, wheels: Sequence[Wheel]) -> Iterator[str]:
    """Yield which wheels hold modules of packages that the image has under another name.

    pip compares names alone: it installs `opencv-python-headless` beside the image's
    `opencv-python`, and of the two `cv2` one is imported, whoever was meant.
    """
    brought = {wheel.name for wheel in wheels}
    owners = [owner for name, owner in _owners(target) if name not in brought]
    for wheel in wheels:
        for owner in owners:
            if shared := [name for name in wheel.modules if owner.shares(name)]:
                likely = "" if owner.is_known else "most likely "
                why = "" if owner.is_known else " (its list of modules is not known)"
                yield (
                    f"{wheel.name} {wheel.version} hides the image's {', '.join(shared)}, which "
                    f"is {likely}that of {owner.package}{why}"
                )


def _owners(target: Target) -> Iterator[tuple[str, _Owner]]:
    versions = {package.name: f"{package.name} {package.version}" for package in target.installed}
    for name in (*versions, *target.unversioned_packages):
        package = target.packages.get(name)
        known = package.modules if package else None
        yield (
            name,
            _Owner(
                package=versions.get(name, name),
                modules=imports.likely_modules(name) if known is None else known,
                is_known=known is not None,
            ),
        )
