"""Finish the sandbox from the inside, then become the command. The standard library only."""

import ctypes
import fcntl
import os
import socket
import struct
import sys

# <linux/sockios.h>, <linux/if.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFREQ = "16sh14x"
# <sys/mount.h>; a remount in a user namespace must repeat the flags that a mount already has.
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
KEPT = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, 4096: 1 << 21}


def main(arguments: list[str]) -> None:
    """Raise loopback, make folders read-only, and execute the command after `--`."""
    end = arguments.index("--")
    options, command = arguments[:end], arguments[end + 1 :]
    raise_loopback()
    for folder in options[1::2]:
        make_read_only(folder)
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
    has = os.statvfs(folder).f_flag
    kept = sum(mount for stat, mount in KEPT.items() if has & stat)
    _mount(folder, MS_BIND)
    _mount(folder, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _mount(folder: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(folder)
    if libc.mount(path, path, None, ctypes.c_ulong(flags), None):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), folder)


if __name__ == "__main__":
    main(sys.argv[1:])
