"""Describe the machine that this runs on as a target: `python capture.py FILE`.

Standard library only, so it also runs by itself: paste it into a notebook's cell and it prints
the JSON, to be saved on the laptop and named with `rsna-bundle libs --target FILE`.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

FORMAT = 1
# Folders beside a package that are installed by mistake, and are not what one imports.
ASIDE = {"tests", "test", "testing", "examples", "docs", "benchmarks", "scripts", "tools"}
PIECES = 60_000  # of the work that measures a core


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str  # normalised
    version: str
    requires: list[str]
    modules: list[str] | None  # None: it does not say which files are its own


@dataclass(frozen=True)
class Capture:
    """What a target's file holds, in its order."""

    format: int
    name: str
    python: str
    system: str
    machine: str
    release: str
    cuda: str | None
    cpus: int | None
    memory_bytes: int | None
    core_seconds: float
    gpus: list[str]
    image: str | None
    estimate: bool
    source: str
    installed: list[Package]

    def text(self) -> str:
        """Return the JSON of a target's file."""
        return json.dumps(asdict(self), indent=1)


def capture(name: str) -> Capture:
    """Return the target that this machine is."""
    installed = distributions()
    image = os.environ.get("KAGGLE_DOCKER_IMAGE", "")
    return Capture(
        format=FORMAT,
        name=name,
        python=platform.python_version(),
        system=sys.platform,
        machine=platform.machine(),
        release=release(),
        cuda=cuda(installed),
        cpus=os.cpu_count(),
        memory_bytes=memory(),
        core_seconds=core_seconds(),
        gpus=gpus(),
        image=image if "@sha256:" in image else None,
        estimate=False,
        source=image or "captured",
        installed=installed,
    )


def distributions() -> list[Package]:
    """Return every installed package with what it needs and holds; the first on the path counts."""
    packages: dict[str, Package] = {}
    for entry in importlib.metadata.distributions():
        name = entry.metadata["Name"]
        if name and entry.version:
            key = re.sub(r"[-_.]+", "-", name).lower()
            if key not in packages:
                requires, files = entry.requires or [], entry.files
                # A distribution of the system's package manager has no list of its files.
                names = None if files is None else importable(str(path) for path in files)
                packages[key] = Package(key, entry.version, requires, names)
    return [packages[key] for key in sorted(packages)]


def importable(files: Iterable[str]) -> list[str]:
    """Return what can be imported of a package's files: dotted names, sorted.

    They are the topmost packages and modules, of namespaces, too: `google.protobuf`, not `google`,
    which others share. Private ones and tests count where there is nothing else.
    """
    dotted = {name for name in map(dotted_name, files) if name}
    packages = {name for name, is_package in dotted if is_package}
    top = {
        name
        for name, is_package in dotted
        if (is_package or len(name) == 1)
        and not any(name[:depth] in packages for depth in range(1, len(name)))
    }
    public = {name for name in top if not name[-1].startswith("_") and name[0] not in ASIDE}
    return sorted(".".join(name) for name in public or top)


def dotted_name(file: str) -> tuple[tuple[str, ...], bool] | None:
    """Return a file's dotted name in parts and whether it is a package; None for other files."""
    parts = PurePosixPath(file).parts
    if parts[0].endswith(".data"):  # of a wheel
        parts = parts[2:] if parts[1:2] in (("purelib",), ("platlib",)) else ()
    if not parts or not parts[-1].endswith((".py", ".so", ".pyd")):
        return None
    stem = parts[-1].split(".")[0]
    name = parts[:-1] if stem == "__init__" else (*parts[:-1], stem)
    if not name or not all(part.isidentifier() for part in name):
        return None
    return name, stem == "__init__"


def release() -> str:
    """Return the version of the C library on Linux, of the system on macOS."""
    if sys.platform == "darwin":
        return platform.mac_ver()[0]
    if sys.platform == "linux":
        return platform.libc_ver()[1]
    return ""


def cuda(installed: list[Package]) -> str | None:
    """Return the CUDA version that the packages here were built for, such as 12.8."""
    versions = {package.name: package.version for package in installed}
    # The CUDA of the packages decides which wheels work, not the driver's or the toolkit's.
    local = re.search(r"\+cu(\d+)(\d)$", versions.get("torch", ""))
    if local:
        return f"{local[1]}.{local[2]}"
    toolkit = Path("/usr/local/cuda/version.json")
    if toolkit.is_file():
        version = str(json.loads(toolkit.read_text())["cuda"]["version"])
        return ".".join(version.split(".")[:2])
    return None


def memory() -> int | None:
    """Return the machine's memory in bytes, where the system says it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def core_seconds() -> float:
    """Return the seconds that one core takes for a fixed piece of work: the least of five.

    The rehearsal measures the same on the laptop, and scales its projection by the two.
    """
    pieces = (hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(PIECES))
    work = b"".join(piece + piece[:16] for piece in pieces)  # neither flat nor all noise
    taken = []
    for _ in range(5):
        start = time.process_time()
        zlib.compress(work, 6)  # process time: what else runs on the machine does not count
        taken.append(time.process_time() - start)
    return round(min(taken), 4)


def gpus() -> list[str]:
    """Return the names of the GPUs that the driver lists."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return result.stdout.split("\n")[:-1]


if __name__ == "__main__":
    in_notebook = "ipykernel" in sys.modules  # where sys.argv is the kernel's
    text = capture("captured").text()
    if len(sys.argv) > 1 and not in_notebook:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
