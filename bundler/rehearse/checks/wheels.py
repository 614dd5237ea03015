"""Do the bundle's wheels install on the target, and do they bring what its GPU needs?"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from bundler.image.target import Target
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.boot.install import WHEELS_ARCHIVE, digests
from inference.boot.manifest import LibsTarget, Member

CUDA_13 = Version("1.27")  # of onnxruntime-gpu: from here on it wants CUDA 13


def unfit(libs: Bundle, target: Target) -> Iterator[str]:
    """Yield which wheels of the bundle cannot be installed on the target."""
    made = fitting(libs, target)
    if made is None:
        wanted = " and for ".join(map(str, libs.libs.targets))
        yield (
            f"The libs bundle was made for {wanted}, the target {target.name} runs Python "
            f"{target.python}. Run `rsna-bundle libs --target {target.name}`."
        )
    names = _names(libs, made)
    for name in names:
        if name.endswith(".whl") and not _fits(name, target):
            yield (
                f"{name} does not install on {target.name} (Python {target.python}, "
                f"{target.system} {target.machine} {target.release}): it was built for another "
                "Python or platform. Run `rsna-bundle libs` for this target."
            )
        elif name.endswith((".tar.gz", ".zip")):
            yield from _sdist(libs, name, names)


def fitting(libs: Bundle, target: Target) -> LibsTarget | None:
    """Return what the notebook would take of the bundle on the target; None where nothing fits."""
    return libs.libs.fitting(target.python, target.glibc, target.image)


def _names(libs: Bundle, made: LibsTarget | None) -> list[str]:
    """Return the names of the wheels and sdists, but for those that only other targets install."""
    others = digests(one for one in libs.libs.targets if one is not made) if made else set[str]()
    own = digests([made]) if made else set[str]()
    members: list[Member] = []
    for file in libs.files:
        members += file.members if file.name == WHEELS_ARCHIVE else [file]
    return [PurePosixPath(one.name).name for one in members if one.sha256 not in others - own]


def _fits(wheel: str, target: Target) -> bool:
    try:
        return not parse_wheel_filename(wheel)[3].isdisjoint(target.tags)
    except InvalidWheelFilename:
        return False


def _sdist(libs: Bundle, name: str, names: Sequence[str]) -> Iterator[str]:
    """Say which build requirements of a source distribution the bundle does not hold."""
    from bundler.libs.resolve import sdists

    file = next((file for file in libs.files if file.name == name), None)
    if file is None:
        return
    present = {canonicalize_name(other.split("-")[0]) for other in names if other.endswith(".whl")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.symlink_to(reader.locate(libs.folder, file).resolve())
        wanted = sdists.build_requirements(path)
    missing = [
        need for need in wanted if canonicalize_name(re.split(r"[^\w.-]", need)[0]) not in present
    ]
    if missing:
        yield (
            f"{name} is a source distribution. Building it needs {', '.join(missing)}, which the "
            "bundle does not hold and the network cannot bring. Ship a wheel: `rsna-bundle libs` "
            "builds one beforehand."
        )


def has_onnxruntime(libs: Bundle, target: Target) -> bool:
    """Say whether the bundle brings ONNX Runtime, for the CPU or a GPU."""
    return not {"onnxruntime", "onnxruntime-gpu"}.isdisjoint(pins(libs, target))


def pins(libs: Bundle, target: Target) -> dict[str, str]:
    """Return the locked version of each package that the bundle brings for the target."""
    made = fitting(libs, target)
    return dict(line.split()[0].split("==") for line in (made.lock if made else ()) if "==" in line)


def without_gpu(libs: Bundle, target: Target, accelerator: str) -> Iterator[str]:
    """Yield why the GPU that the notebook asks for would stay idle."""
    version = pins(libs, target).get("onnxruntime-gpu")
    if version is None:
        yield (
            f"The notebook asks for {accelerator}, but the libs bundle has no onnxruntime-gpu: "
            "the CPU would predict. Put onnxruntime-gpu into wheelhouse.txt in place of "
            "onnxruntime."
        )
    elif (target.cuda or "").startswith("12.") and Version(version) >= CUDA_13:
        yield (
            f"The notebook asks for {accelerator} with CUDA {target.cuda}, but onnxruntime-gpu "
            f"{version} needs CUDA 13 and would silently use the CPU. Write onnxruntime-gpu<1.27 "
            "into wheelhouse.txt."
        )
