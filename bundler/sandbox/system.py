"""What a sandbox needs of this machine: the system's folders, a Python's, the GPUs' devices."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bundler import process

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix")
# What tells programs of processors and GPUs; the rest of /sys, cgroups among it, is the machine's.
DEVICES = ("/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/module")
# Of /etc only what programs need to start: the rest is this machine's, and holds its secrets.
ETC = (
    "OpenCL",
    "alternatives",  # Debian's programs are links that lead through it
    "ca-certificates",
    "debian_version",
    "fonts",
    "gai.conf",
    "glvnd",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "rpc",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "vulkan",
)
USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
GPU_DEVICES = ("nvidia*", "kfd", "dri")  # what a GPU needs of /dev
PREFIXES = "import sys; print(sys.prefix, sys.base_prefix, sys.exec_prefix, sep='\\n')"


def folders() -> list[str]:
    """Return the folders of the operating system's programs, which every machine has."""
    return [name for name in SYSTEM if os.path.isdir(name) and not os.path.islink(name)]


def devices() -> list[str]:
    """Return the folders that tell of this machine's processors and GPUs."""
    return [name for name in DEVICES if os.path.isdir(name)]


def write_etc(folder: Path, hosts: Sequence[str] = ()) -> dict[str, Path]:
    """Return an /etc for a sandbox, by path; files that this machine's must not stand for are
    written to the new folder `folder`. The names `hosts` are loopback's, too.
    """
    folder.mkdir()
    names = " ".join(["localhost", *hosts])
    for name, text in {
        "passwd": USERS,
        "group": GROUPS,
        "hosts": f"127.0.0.1 {names}\n::1 localhost\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    # /etc/localtime and others are links to /usr: what they lead to is bound in their place.
    shown = {f"/etc/{name}": Path("/etc", name) for name in ETC if Path("/etc", name).exists()}
    return shown | {f"/etc/{path.name}": path for path in folder.iterdir()}


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
