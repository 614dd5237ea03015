"""The system calls of Linux that Python does not offer; the standard library only.

Each raises OSError with what it was about. Constants are named and numbered as in the kernel's own
headers: <linux/sched.h>, <sys/mount.h>, <sys/prctl.h>, <linux/capability.h>, <linux/sockios.h>.
"""

import ctypes
import os
import platform
import signal
import socket
import struct
from collections.abc import Iterable

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x08000000, 0x10000000, 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE, MS_SHARED = 16384, 1 << 18, 1 << 20
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 24, 28
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
# Root gets no capabilities by executing a program, nor by changing its user; both for good.
SECUREBITS = 0b1111
CAP_SYS_ADMIN = 21
CAPABILITY_VERSION = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFREQ = "16sh14x"
# The numbers of the calls that the C library has no function for.
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
MOUNT_SETATTR = 442  # on every machine, since Linux 5.12


def unshare(flags: int) -> None:
    """Give this process namespaces of its own; a new one of processes holds its children alone."""
    _check(_libc().unshare(flags), "unshare")


def join(pid: int, *names: str) -> None:
    """Enter namespaces (`user`, `net`, `mnt`) of another process, in this order."""
    # All are opened first: once the file system is another's, /proc may be, too.
    files = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in names]
    for handle, name in zip(files, names, strict=True):
        _check(_libc().setns(handle, 0), f"/proc/{pid}/ns/{name}")
        os.close(handle)


def map_to_root(user: int, group: int, proc: int | None = None) -> None:
    """Make a user and a group root of the user namespace that this process has just made.

    `proc` is an open /proc, where the one that is mounted is read-only.
    """
    for name, text in (
        # Without this, a group that is denied something could be left to get it (CVE-2014-8989).
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        path = f"self/{name}" if proc is not None else f"/proc/self/{name}"
        file = os.open(path, os.O_WRONLY, dir_fd=proc)
        os.write(file, text.encode())
        os.close(file)


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or change a mount."""
    names = os.fsencode(source), os.fsencode(target), kind and kind.encode()
    _check(_libc().mount(*names, ctypes.c_ulong(flags), options.encode()), target)


def pivot_root(folder: str) -> None:
    """Make a mount point the root, and take the old root away altogether.

    Unlike after `chroot`, nothing outside can be reached: it is no longer mounted here.
    """
    os.chdir(folder)
    # The manual's own way to need no folder for the old root: it comes to lie over the new one.
    _check(_libc().syscall(PIVOT_ROOT[platform.machine()], b".", b"."), folder)
    _check(_libc().umount2(b".", MNT_DETACH), folder)
    os.chdir("/")


def restrict(path: str, flags: int, *, below: bool = True) -> None:
    """Add MS_RDONLY, MS_NOSUID or MS_NODEV to a mount, and with `below` to all mounts in it.

    A remount by mount(2) would reach the outer one alone, and leave a disk mounted in it writable.
    """
    _set_attributes(path, AT_RECURSIVE if below else 0, added=flags)


def allow_writing(path: str) -> None:
    """Take MS_RDONLY from a mount; refused (EPERM) where it was read-only in an outer namespace."""
    _set_attributes(path, 0, removed=MS_RDONLY)


def _set_attributes(path: str, flags: int, *, added: int = 0, removed: int = 0) -> None:
    attributes = struct.pack(
        "QQQQ", added, removed, 0, 0
    )  # the others: propagation, user namespace
    arguments = AT_FDCWD, os.fsencode(path), flags, attributes
    _check(_libc().syscall(MOUNT_SETATTR, *arguments, ctypes.c_size_t(len(attributes))), path)


def drop_capabilities(kept: Iterable[int] = ()) -> None:
    """Give up every capability but those `kept`, now and for all programs executed later."""
    libc, keep = _libc(), set(kept)
    if not keep:
        _check(libc.prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0), "securebits")
    for capability in range(64):
        # The first number that this kernel does not know ends the list.
        if capability not in keep and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            break
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    low = sum(1 << capability for capability in keep)
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    # Effective, permitted, inheritable: of the first 32 capabilities, then of the others.
    _check(libc.capset(header, struct.pack("6I", low, low, 0, 0, 0, 0)), "capset")
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends."""
    _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def raise_loopback() -> None:
    """Bring the interface `lo` up; a new network namespace has it, but down."""
    import fcntl  # not on Windows, where this file is imported, too

    # Any socket serves: the request goes to the interface that it names.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack(IFREQ, b"lo", 0)
        _, flags = struct.unpack(IFREQ, fcntl.ioctl(handle, SIOCGIFFLAGS, request))
        if not flags & IFF_UP:
            fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, subject: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)
