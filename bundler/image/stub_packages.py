"""What the target's image has: kept out of the bundle, and never broken by it.

A resolver is offered the image's version of each package and no other, so that one resolution
answers what is missing in the image, or why nothing fits it. An emulated image shows a `.dist-info`
for each package that is not really there.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.image.distribution import Distribution
from bundler.image.target import Target

EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")


def constraints(target: Target) -> list[str]:
    """Return the lines that hold every package at the image's version."""
    return [f"{package.name}=={package.version}" for package in target.installed]


def is_of_an_extra(need: Requirement) -> bool:
    """Say whether a package needs something for one of its extras alone."""
    return need.marker is not None and bool(EXTRA.search(str(need.marker)))


def describe(package: Distribution, needs: Sequence[Requirement]) -> str:
    """Return the METADATA of a package that has these needs."""
    extras = sorted({name for need in needs for name in _extras(need)})
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {package.name}",
        f"Version: {package.version}",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {need}" for need in needs if not need.url),
    ]
    return "\n".join(lines) + "\n"


def _extras(need: Requirement) -> set[str]:
    return set(EXTRA.findall(str(need.marker)))


STUBS = "stubs"
# A line of a .pth file is executed at the start of Python (the module site). pip, which checks what
# an install would break, sees the stubs, and so does our launcher, which asks whether the image has
# a package; the user's code does not: libraries look for optional packages by their metadata, and
# import what they find.
SHOW_STUBS = (
    "import sys, os; sys.path += [os.path.join({site!r}, {stubs!r})] * "
    "any(word in ('pip', 'inference.launch') for word in sys.orig_argv)\n"
)


def write_stub_dist_infos(site: Path, target: Target) -> None:
    """Write a `.dist-info` for each package of the image that is not really in `site`."""
    # Names alone: what is really there counts, at whatever version it could be installed.
    present = [entry.name.split("-")[0] for entry in site.glob("*.dist-info")]
    real = {canonicalize_name(name) for name in present}
    for package in target.installed:
        if package.name not in real:
            stem = package.name.replace("-", "_")
            folder = site / STUBS / f"{stem}-{package.version}.dist-info"
            folder.mkdir(parents=True)
            needs = [need for need in package.needs() if is_of_an_extra(need)]
            (folder / "METADATA").write_text(describe(package, needs), encoding="utf-8")
    line = SHOW_STUBS.format(site=str(site), stubs=STUBS)
    (site / f"{STUBS}.pth").write_text(line, encoding="utf-8")
