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
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1
PIECES = 60_000  # of the work that measures a core


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str  # normalised
    version: str
    requires: list[str]


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
    estimate: bool
    source: str
    installed: list[Package]

    def text(self) -> str:
        """Return the JSON of a target's file."""
        return json.dumps(asdict(self), indent=1)


def capture(name: str) -> Capture:
    """Return the target that this machine is."""
    installed = distributions()
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
        estimate=False,
        source=os.environ.get("KAGGLE_DOCKER_IMAGE", "captured"),
        installed=installed,
    )


def distributions() -> list[Package]:
    """Return every installed package with its requirements; the first on the path counts."""
    packages: dict[str, Package] = {}
    for entry in importlib.metadata.distributions():
        name = entry.metadata["Name"]
        if name and entry.version:
            key = re.sub(r"[-_.]+", "-", name).lower()
            packages.setdefault(key, Package(key, entry.version, entry.requires or []))
    return [packages[key] for key in sorted(packages)]


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
