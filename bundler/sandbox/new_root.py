"""Build the root that a sandboxed command sees, and make it the root; the standard library only.

Everything is bound from this machine, on a file system in memory that ends up read-only. No device
is made: the few that programs need are bound, too.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bundler.sandbox import kernel
from bundler.sandbox.kernel import MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REC

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEV_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
# Of /proc: what root may change without a capability, since the files are root's own. As Docker's
# lists of paths that are read-only and hidden.
PROC_READ_ONLY = ("sys", "irq", "bus", "fs", "sysrq-trigger", "acpi", "asound")
PROC_HIDDEN = ("kcore", "keys", "key-users", "kmsg", "timer_list", "sched_debug", "scsi")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the machine in the sandbox."""

    path: str  # in the sandbox
    source: str  # on the machine
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Root:
    """The root that the command sees in place of the machine's."""

    folder: str  # an empty one of the machine, to build it in
    links: Mapping[str, str]  # symbolic link → what it points to
    mounts: Sequence[Mount]  # of two at one path, the later hides the earlier
    devices: Sequence[str]  # of /dev, beside the usual ones
    read_only_proc: bool = False  # as a pod's, since one of its sandboxes may mount another


def enter(spec: Root) -> None:
    """Build the sandbox's root, and make it this process's root."""
    root = spec.folder
    kernel.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for path, target in spec.links.items():
        os.symlink(target, root + path)
    for mount in spec.mounts:
        path = _bind(mount.source, root + mount.path)
        kernel.restrict(path, MS_NOSUID | MS_NODEV | (0 if mount.writable else MS_RDONLY))
    _fill_dev(root, spec.devices)
    mount_proc(root + "/proc", read_only=spec.read_only_proc)
    kernel.pivot_root(root)
    # Last: the mount points had to be made in it. What is mounted in it has flags of its own.
    kernel.restrict("/", MS_RDONLY, below=False)


def _fill_dev(root: str, devices: Sequence[str]) -> None:
    os.makedirs(root + "/dev/shm")
    # Python's multiprocessing keeps its semaphores there.
    kernel.mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for device in [*(f"/dev/{name}" for name in DEVICES), *devices]:
        if os.path.exists(device):
            # Bound, not made: a user namespace may not make devices.
            _bind(device, root + device)
    for name, descriptor in DEV_LINKS.items():
        os.symlink(f"/proc/self/fd{descriptor}", f"{root}/dev/{name}")


def mount_proc(proc: str, *, read_only: bool = False) -> None:
    """Mount a new /proc, since the machine's would show all its processes."""
    os.makedirs(proc, exist_ok=True)
    kernel.mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | (MS_RDONLY if read_only else 0))
    if not read_only:
        forbid_user_namespaces(f"{proc}/sys")
        for path in (f"{proc}/{name}" for name in PROC_READ_ONLY):
            if os.path.exists(path):
                _bind(path, path)
                kernel.restrict(path, MS_RDONLY)
    for path in (f"{proc}/{name}" for name in PROC_HIDDEN):
        if os.path.isfile(path):
            _bind("/dev/null", path)


def forbid_user_namespaces(settings: str, folder: int | None = None) -> None:
    """Let no process of this user namespace make another, in which it had the right to mount."""
    file = os.open(f"{settings}/user/max_user_namespaces", os.O_WRONLY, dir_fd=folder)
    os.write(file, b"0")
    os.close(file)


def _bind(source: str, path: str) -> str:
    """Bind a folder to a folder or a file to a file, which is made where it is missing."""
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "a").close()
    kernel.mount(source, path, None, MS_BIND | MS_REC)
    return path
