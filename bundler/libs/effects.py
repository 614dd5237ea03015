"""What a bundle and the target's image would do to each other."""

from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.image.target import Target
from bundler.libs.requirements import holds
from bundler.libs.resolve.resolution import Pin


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
