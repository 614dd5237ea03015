"""Note which programs a run executes and which libraries it maps; the standard library only.

The kernel asks before each program is executed (seccomp_unotify(2)), so that none is too short to
be seen, whoever starts it; needs no rights. Libraries are read from /proc/PID/maps every so often;
a Python also notes its own when it ends (`audit_hook`).
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
from pathlib import Path

from bundler.sandbox import seccomp

# <linux/seccomp.h>: struct seccomp_notif (id, pid, flags, then struct seccomp_data: nr,
# architecture, address, arguments), struct seccomp_notif_resp (id, value, error, flags)
ASKED, ANSWER = "QIIiIQ6Q", "Qqii"
RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1  # let the call take place
EVERY = 1.0  # seconds between two looks at libraries
LONGEST = 4096  # of a path


class Programs(threading.Thread):
    """Notes what one command and its children execute and map, from before the command starts.

    `known` is false where the kernel cannot be made to ask, as before Linux 5.5.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.known = False
        self._programs: set[str] = set()
        self._libraries: set[str] = set()
        self._ours, self._childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ended = threading.Event()

    def prepare(self) -> None:
        """Ask for questions: in the child, between fork and exec, which is the first one."""
        with contextlib.suppress(OSError):
            listener = seccomp.listen_to_programs()
            socket.send_fds(self._childs, [b"x"], [listener])
            os.close(listener)
            return
        self._childs.send(b"-")

    def run(self) -> None:
        """Answer until the end; a command whose questions nobody answers would wait for ever."""
        _, files, _, _ = socket.recv_fds(self._ours, 1, 1)
        threading.Thread(target=self._look_at_libraries, daemon=True).start()
        if not files:
            return
        self.known = True
        poll = select.poll()
        poll.register(files[0], select.POLLIN)
        while True:
            (event,) = poll.poll()
            if not event[1] & select.POLLIN:
                return  # all of them have ended
            self._answer(files[0])

    def stop(self) -> tuple[list[str], list[str]]:
        """Return the programs and the libraries, by their paths in the sandbox."""
        self._ended.set()
        return sorted(self._programs), sorted(self._libraries)

    def _answer(self, listener: int) -> None:
        asked = bytearray(struct.calcsize(ASKED))
        try:
            fcntl.ioctl(listener, RECEIVE, asked, True)
        except OSError:
            return  # the process was killed while it asked
        number, pid, _, call, _, _, *arguments = struct.unpack(ASKED, asked)
        # Whatever happens, the process must get its answer: it stands still until then.
        with contextlib.suppress(Exception):
            self._programs.update(_executed(pid, call, arguments))
        answer = bytearray(struct.pack(ANSWER, number, 0, 0, CONTINUE))
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, SEND, answer, True)

    def _look_at_libraries(self) -> None:
        while os.path.isdir("/proc") and not self._ended.wait(EVERY):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                self._libraries.update(mapped(pid))


def mapped(pid: str) -> set[str]:
    """Return the files whose code a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return set()  # it has ended, or is not ours to look at
    fields = [line.split(maxsplit=5) for line in lines]
    return {one[5] for one in fields if len(one) == 6 and "x" in one[1] and one[5][0] == "/"}


def _executed(pid: int, call: int, arguments: list[int]) -> set[str]:
    """Return the file that a process is about to execute, and the one that interprets it."""
    folder, address = f"/proc/{pid}/cwd", arguments[0]
    if call == seccomp.machine().execveat:
        directory = struct.unpack("i", struct.pack("I", arguments[0] & 0xFFFFFFFF))[0]
        folder = f"/proc/{pid}/fd/{directory}" if directory >= 0 else folder
        address = arguments[1]
    path = os.path.normpath(os.path.join(os.readlink(folder), _text_at(pid, address)))
    if not os.path.isfile(path):
        return set()  # as where a shell tries each folder of PATH
    with open(path, "rb") as stream:
        first = stream.read(256)
    interpreter = first[2:].split(b"\n")[0].split() if first[:2] == b"#!" else []
    return {path, *map(os.fsdecode, interpreter[:1])}


def _text_at(pid: int, address: int) -> str:
    """Return the text that ends with a zero byte at an address of another process."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        text = b""
        while b"\0" not in text and len(text) < LONGEST:
            # To the end of the page: what lies behind may not be mapped.
            text += memory.read(4096 - (address + len(text)) % 4096)
    return os.fsdecode(text.partition(b"\0")[0])


def start(
    command: list[str], *, cwd: Path, env: dict[str, str], sink: int
) -> "tuple[subprocess.Popen[bytes], Programs]":
    """Start a command whose programs are noted; its output goes to the open file `sink`."""
    programs = Programs()
    programs.start()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        # It also makes Python fork: after vfork this process would stand still until the exec,
        # and could not answer.
        preexec_fn=programs.prepare,
    )
    return process, programs
