"""Finish the sandbox from the inside, then become the command. The standard library only."""

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from typing import Any

# <linux/sockios.h>, <linux/if.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFREQ = "16sh14x"
# <sys/mount.h>; a remount in a user namespace must repeat the flags that a mount already has.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 32, 4096, 16384
KEPT = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, 4096: 1 << 21}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def main(arguments: list[str]) -> None:
    """Raise loopback, make folders read-only or a room, and execute the command after `--`."""
    end = arguments.index("--")
    options, command = arguments[:end], arguments[end + 1 :]
    raise_loopback()
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option == "--read-only":
            make_read_only(value)
        else:
            with open(value, encoding="utf-8") as stream:
                enter_room(json.load(stream))
    os.execvp(command[0], command)


def raise_loopback() -> None:
    """Bring the interface `lo` up; a new network namespace has it, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack(IFREQ, b"lo", 0)
        _, flags = struct.unpack(IFREQ, fcntl.ioctl(handle, SIOCGIFFLAGS, request))
        if not flags & IFF_UP:
            fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def make_read_only(folder: str) -> None:
    """Bind a folder over itself without the right to write."""
    _bind(folder, folder)
    _forbid_writing(folder)


def enter_room(room: dict[str, Any]) -> None:
    """Build the room's root on a file system in memory, and make it the root."""
    root = room["root"]
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for place, target in room["links"].items():
        os.symlink(target, root + place)
    for place, kind, what in room["mounts"]:
        if kind == "limited":
            os.makedirs(root + place, exist_ok=True)
            size = f"mode=755,size={what}"
            _mount("tmpfs", root + place, "tmpfs", MS_NOSUID | MS_NODEV, size)
        else:
            _bind(what, _made(root + place, what))
        if kind == "read_only":
            _forbid_writing(root + place)
    _fill_dev(root, room["devices"])
    os.makedirs(root + "/proc")
    _mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV)
    _forbid_writing(root)
    os.chroot(root)
    os.chdir("/")


def _fill_dev(root: str, more: list[str]) -> None:
    os.makedirs(root + "/dev/shm")
    _mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for device in [*(f"/dev/{name}" for name in DEVICES), *more]:
        if os.path.exists(device):
            _bind(device, _made(root + device, device))
    os.symlink("/proc/self/fd", root + "/dev/fd")


def _made(place: str, like: str) -> str:
    if os.path.isdir(like):
        os.makedirs(place, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        open(place, "a").close()
    return place


def _bind(folder: str, place: str) -> None:
    _mount(folder, place, None, MS_BIND | MS_REC)


def _forbid_writing(place: str) -> None:
    _mount(place, place, None, MS_BIND | MS_REMOUNT | MS_RDONLY | _kept(place))


def _kept(folder: str) -> int:
    has = os.statvfs(folder).f_flag
    return sum(mount for stat, mount in KEPT.items() if has & stat)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = os.fsencode(source), os.fsencode(target), kind and kind.encode()
    if libc.mount(*words, ctypes.c_ulong(flags), data.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


if __name__ == "__main__":
    main(sys.argv[1:])
