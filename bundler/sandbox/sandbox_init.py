"""Finish a sandbox from the inside, then become the command. The standard library only.

`python -I sandbox_init.py OPTION VALUE… -- COMMAND…` runs as the root of its own namespaces, alone:
it is started by its path, before anything that it could import is mounted. The bundler imports it
for `Spec` and `Mount`, on any system.
"""

import ctypes
import json
import os
import socket
import struct
import sys
from dataclasses import dataclass

# <linux/sockios.h>, <linux/if.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFREQ = "16sh14x"
# <sys/mount.h>
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 32, 4096, 16384
# statvfs(3)'s flags of a mount → those of mount(2) that say the same: nosuid, nodev, noexec,
# noatime, relatime.
KEPT = {2: MS_NOSUID, 4: MS_NODEV, 8: 8, 1024: 1024, 4096: 1 << 21}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the machine in the sandbox, or a `limited` folder in memory."""

    path: str  # in the sandbox
    kind: str  # read_only | writable | limited
    source: str = ""  # on the machine; limited: none
    size: int = 0  # bytes; limited alone


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a sandbox is built of."""

    root: str  # an empty folder of the machine, to build it in
    links: dict[str, str]  # symbolic link → what it points to
    mounts: list[Mount]
    devices: list[str]  # of /dev, beside the usual ones

    @classmethod
    def read(cls, path: str) -> "Spec":
        """Read what `json.dumps(asdict(spec))` wrote."""
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
        return cls(**content | {"mounts": [Mount(**mount) for mount in content["mounts"]]})


def main(arguments: list[str]) -> None:
    """Raise loopback, make folders read-only or build a sandbox, and execute the command."""
    end = arguments.index("--")
    options, command = arguments[:end], arguments[end + 1 :]
    raise_loopback()
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option == "--read-only":
            make_read_only(value)
        else:
            enter(Spec.read(value))
    os.execvp(command[0], command)


def raise_loopback() -> None:
    """Bring the interface `lo` up; a new network namespace has it, but down."""
    import fcntl  # not on Windows, where this file is imported, too

    # Any socket serves: the request goes to the interface that it names.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack(IFREQ, b"lo", 0)
        _, flags = struct.unpack(IFREQ, fcntl.ioctl(handle, SIOCGIFFLAGS, request))
        if not flags & IFF_UP:
            fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def make_read_only(folder: str) -> None:
    """Bind a folder over itself without the right to write."""
    _bind(folder, folder)
    _forbid_writing(folder)


def enter(spec: Spec) -> None:
    """Build the sandbox's root on a file system in memory, and make it the root."""
    root = spec.root
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for path, target in spec.links.items():
        os.symlink(target, root + path)
    for mount in spec.mounts:
        path = root + mount.path
        if mount.kind == "limited":
            os.makedirs(path, exist_ok=True)
            options = f"mode=755,size={mount.size}"
            _mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options)
        else:
            _bind(mount.source, _mount_point(path, mount.source))
        if mount.kind == "read_only":
            _forbid_writing(path)
    _fill_dev(root, spec.devices)
    os.makedirs(root + "/proc")
    # A new /proc, since the machine's would show all its processes.
    _mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV)
    # Last: the mount points had to be made in the root.
    _forbid_writing(root)
    os.chroot(root)
    os.chdir("/")


def _fill_dev(root: str, more: list[str]) -> None:
    os.makedirs(root + "/dev/shm")
    # Python's multiprocessing keeps its semaphores there.
    _mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for device in [*(f"/dev/{name}" for name in DEVICES), *more]:
        if os.path.exists(device):
            # Bound, not made: a user namespace may not make devices.
            _bind(device, _mount_point(root + device, device))
    os.symlink("/proc/self/fd", root + "/dev/fd")


def _mount_point(path: str, source: str) -> str:
    """Make what `source` can be bound to: a folder for a folder, a file for a file."""
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "a").close()
    return path


def _bind(source: str, path: str) -> None:
    _mount(source, path, None, MS_BIND | MS_REC)


def _forbid_writing(path: str) -> None:
    # A bind mount becomes read-only by a second call alone. In a user namespace that call must
    # repeat the flags that the mount has from outside: to drop one is refused (EPERM).
    flags = os.statvfs(path).f_flag
    kept = sum(mount for stat, mount in KEPT.items() if flags & stat)
    _mount(path, path, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(source), os.fsencode(target), kind and kind.encode()
    if libc.mount(*names, ctypes.c_ulong(flags), options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


if __name__ == "__main__":
    main(sys.argv[1:])
