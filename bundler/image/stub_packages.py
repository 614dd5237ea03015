"""What the target's image has: kept out of the bundle, and never broken by it.

The resolvers see the image as a folder of stub wheels, one for each installed package, whose
tag and build number beat any wheel of an index; a constraint pins each of them. So one
resolution answers what is missing in the image, or why nothing fits it.
"""

import base64
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler import atomic, cache
from bundler.image.target import Distribution, Target

FORMAT = 1  # of the stub wheels; another number makes them anew
BUILD = "999999999"  # outranks every build number that is in use
EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")
EPOCH = (1980, 1, 1, 0, 0, 0)


def stub_wheels(target: Target) -> Path:
    """Return the folder of the target's stub wheels, made once for each digest.

    They ask for what their extras need and no more: the image is taken as it is, since an image
    often breaks its own packages' requirements and works all the same.
    """
    wheels = cache.folder("images") / f"{target.digest[:32]}-{FORMAT}"
    if not wheels.is_dir():
        with atomic.new_folder(wheels) as folder:
            for package in target.installed:
                needs = [need for need in package.needs() if _of_an_extra(need)]
                write_stub_wheel(folder, package, target, needs, BUILD)
    return wheels


def constraints(target: Target) -> list[str]:
    """Return the lines that hold every package at the image's version."""
    return [f"{package.name}=={package.version}" for package in target.installed]


def _of_an_extra(need: Requirement) -> bool:
    return need.marker is not None and bool(EXTRA.search(str(need.marker)))


def write_stub_wheel(
    folder: Path, package: Distribution, target: Target, needs: Iterable[Requirement], build: str
) -> str:
    """Write a wheel without content that says what `package` needs, and return its name."""
    stem = f"{package.name.replace('-', '_')}-{package.version}"
    tag = str(target.tags[0])
    files = {
        f"{stem}.dist-info/METADATA": _metadata(package, list(needs)),
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    wheel = f"{stem}-{build}-{tag}.whl"
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for name, text in {**files, f"{stem}.dist-info/RECORD": _record(stem, files)}.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text)
    return wheel


def _metadata(package: Distribution, needs: Iterable[Requirement]) -> str:
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


def _record(stem: str, files: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        writer.writerow([name, f"sha256={digest.decode()}", len(text.encode())])
    writer.writerow([f"{stem}.dist-info/RECORD", "", ""])
    return out.getvalue()


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
            needs = [need for need in package.needs() if _of_an_extra(need)]
            (folder / "METADATA").write_text(_metadata(package, needs), encoding="utf-8")
    line = SHOW_STUBS.format(site=str(site), stubs=STUBS)
    (site / f"{STUBS}.pth").write_text(line, encoding="utf-8")
