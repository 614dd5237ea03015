"""What a resolution takes from the image, and what an sdist that travels asks for: stub wheels."""

from collections.abc import Iterable
from pathlib import Path

from bundler.image import stub_packages
from bundler.image.target import Distribution, Target
from bundler.libs.resolve import sdists
from bundler.libs.resolve.resolution import Pin
from bundler.libs.resolve.sdists import Sdist


def split(target: Target, pins: Iterable[Pin]) -> tuple[list[Pin], list[Pin]]:
    """Return which pins must be brought, and which the image provides."""
    brought: list[Pin] = []
    provided: list[Pin] = []
    for pin in pins:
        (provided if f"-{stub_packages.BUILD}-" in pin.file else brought).append(pin)
    return brought, provided


def write_stub_of_sdist(folder: Path, sdist: Sdist, target: Target) -> str:
    """Write a stub wheel for an sdist that travels, so that a resolver takes it; its name."""
    lines = sdists.requirements(sdist.path)
    package = Distribution(name=sdist.pin.name, version=sdist.pin.version, requires=tuple(lines))
    return stub_packages.write_stub_wheel(folder, package, target, package.needs(), "1")
