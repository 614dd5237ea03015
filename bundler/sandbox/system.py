"""What a sandbox needs of this machine: the system's folders, a Python's, the GPUs' devices."""

import os
from collections.abc import Iterable
from pathlib import Path

from bundler import process

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix", "/sys")
GPU_DEVICES = ("nvidia*", "kfd", "dri")  # what a GPU needs of /dev
PREFIXES = "import sys; print(sys.prefix, sys.base_prefix, sys.exec_prefix, sep='\\n')"


def folders() -> list[str]:
    """Return the folders of the operating system, which every machine has."""
    return [name for name in SYSTEM if os.path.isdir(name) and not os.path.islink(name)]


def links() -> dict[str, str]:
    """Return the system's folders that are links, such as /bin → usr/bin."""
    return {name: os.readlink(name) for name in SYSTEM if os.path.islink(name)}


def gpu_devices() -> list[str]:
    """Return the device files of the GPUs."""
    return sorted(str(path) for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern))


def python_folders(pythons: Iterable[Path]) -> dict[str, Path]:
    """Return the folders that some Pythons need to run, at the paths where they lie.

    The paths must be the same inside: scripts and virtual environments name them.
    """
    names: set[str] = set()
    for python in pythons:
        prefixes = process.run([python, "-I", "-c", PREFIXES]).stdout.splitlines()
        # A virtual environment's Python is a link, and may be reached through others.
        links = [str(python.absolute().parent.parent), str(python.resolve().parent.parent)]
        names |= {
            name for name in (*prefixes, *links) if name != "/" and not _within(name, folders())
        }
    outermost = sorted(name for name in names if not _within(name, names - {name}))
    return {name: Path(name) for name in outermost}


def _within(name: str, folders: Iterable[str]) -> bool:
    return any(name == folder or name.startswith(folder + "/") for folder in folders)
