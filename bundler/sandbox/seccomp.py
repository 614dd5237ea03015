"""What a sandboxed command may not ask of the kernel, since no namespace shuts it out.

A filter of system calls (seccomp(2)), inherited by all that the command starts; the standard
library only. What is refused looks as if this kernel did not have it.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# <linux/bpf_common.h>, <linux/seccomp.h>, <linux/audit.h>
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ASK, REFUSE = (
    0x7FFF0000,
    0x7FC00000,
    0x00050000,
)  # the last with the number of the error in the low bits
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # where <struct seccomp_data> has them
SECCOMP_SET_MODE_FILTER, NEW_LISTENER = 1, 8
X32 = 0x40000000  # calls of x86-64's other interface begin here
AF_VSOCK = 40
TIOCSTI, TIOCLINUX = 0x5412, 0x541C


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The numbers of system calls on one kind of processor."""

    architecture: int
    seccomp: int
    socket: int
    ioctl: int
    keyrings: tuple[int, int, int]  # add_key, request_key, keyctl
    execve: int
    execveat: int
    io_uring_setup: int = 425


MACHINES = {
    "x86_64": Machine(
        architecture=0xC000003E,
        seccomp=317,
        socket=41,
        ioctl=16,
        keyrings=(248, 249, 250),
        execve=59,
        execveat=322,
    ),
    "aarch64": Machine(
        architecture=0xC00000B7,
        seccomp=277,
        socket=198,
        ioctl=29,
        keyrings=(217, 218, 219),
        execve=221,
        execveat=281,
    ),
}


def machine() -> Machine:
    """Return the numbers of this processor's system calls. Raises OSError where none are known."""
    name = platform.machine()
    if name not in MACHINES or sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"no list of {sys.platform}'s calls on {name}", "seccomp")
    return MACHINES[name]


def forbid() -> None:
    """Refuse, to this process and all that it starts, what reaches this machine nevertheless."""
    numbers = machine()
    load(
        [
            *_only(numbers, REFUSE | errno.ENOSYS),
            # The keys of the user's session, which all processes of a user share.
            *(step for call in numbers.keyrings for step in _refuse(call, errno.ENOSYS)),
            # It makes sockets without the call that is looked at below.
            *_refuse(numbers.io_uring_setup, errno.ENOSYS),
            # Sockets to a virtual machine's host and to its own loopback know no namespaces.
            *_refuse_argument(numbers.socket, 0, AF_VSOCK, errno.EAFNOSUPPORT),
            # What types into a terminal, as if its user did.
            *_refuse_argument(numbers.ioctl, 1, TIOCSTI, errno.EIO),
            *_refuse_argument(numbers.ioctl, 1, TIOCLINUX, errno.EIO),
            _step(RETURN, ALLOW),
        ]
    )


def listen_to_programs() -> int:
    """Have the kernel ask before this process, or one that it starts, executes a program.

    Returns an open file: whoever has it reads the questions, and must answer each.
    """
    numbers = machine()
    return load(
        [
            *_only(numbers, ALLOW),
            _step(EQUAL, numbers.execve, otherwise=1),
            _step(RETURN, ASK),
            _step(EQUAL, numbers.execveat, otherwise=1),
            _step(RETURN, ASK),
            _step(RETURN, ALLOW),
        ],
        NEW_LISTENER,
    )


def load(program: Sequence[bytes], flags: int = 0) -> int:
    """Make a filter of BPF instructions this thread's; return what seccomp(2) returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(program))
    # <struct sock_fprog>: the number of instructions, padding, where they lie
    filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    result = libc.syscall(machine().seccomp, SECCOMP_SET_MODE_FILTER, flags, filter)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "seccomp")
    return int(result)


def _only(numbers: Machine, others: int) -> list[bytes]:
    """Return `others` for calls of another interface (32-bit, x32): there, numbers mean others."""
    return [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, numbers.architecture, otherwise=2),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, X32, otherwise=1),
        _step(RETURN, others),
    ]


def _refuse(call: int, error: int) -> list[bytes]:
    return [_step(EQUAL, call, otherwise=1), _step(RETURN, REFUSE | error)]


def _refuse_argument(call: int, position: int, value: int, error: int) -> list[bytes]:
    """Refuse a call whose argument at a position has a value; its low 32 bits are looked at."""
    return [
        _step(EQUAL, call, otherwise=4),
        _step(LOAD, ARGUMENTS + 8 * position),
        _step(EQUAL, value, otherwise=1),
        _step(RETURN, REFUSE | error),
        _step(LOAD, NUMBER),
    ]


def _step(code: int, value: int, *, otherwise: int = 0) -> bytes:
    """Return one instruction; a comparison that is false skips `otherwise` instructions."""
    return struct.pack("HBBI", code, 0, otherwise, value)
