"""Note what a Python inside the rehearsal tries: the network, and writing where it must not.
Where it is asked to by a signal, it writes down where each of its threads stands, and when it ends,
which libraries it has loaded.

Runs as `sitecustomize` in every Python of the rehearsal; the standard library only, and little of
it, since every start pays for it. Each event becomes a line of JSON in the file that
REHEARSAL_EVENTS names, with the call site. Python tells of such events itself (PEP 578).
"""

import atexit
import faulthandler
import json
import os
import signal
import sys
import sysconfig
from types import FrameType
from typing import Any, NamedTuple

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.symlink")
LOCAL = ("127.", "localhost", "::1", "0.0.0.0")
SHARED = "/kaggle/shared"  # where a gateway puts files, one call after the other
EARLY = "early"
MAY_WRITE = (
    "/kaggle/working",
    "/tmp",
    "/rehearsal",
    SHARED,
)  # below REHEARSAL_ROOT, if there is one
DEVICES = ("/dev", "/proc")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
# One that no library uses; macOS has none of these.
STACKS_SIGNAL = signal.SIGRTMIN + 11 if hasattr(signal, "SIGRTMIN") else None
STACKS = "stacks.txt"  # beside the events
LIBRARIES = "libraries.txt"
MOST = 200  # events; the first ones tell

_written = 0
_busy = False  # noting an event causes others


class Event(NamedTuple):
    """Something that was tried. A named tuple, since dataclasses are slow to import."""

    kind: str  # network | write | early: a file was read before a gateway had shared it
    event: str  # as Python calls it, such as socket.connect
    what: str  # host and port, or a path
    sites: list[str]  # who called, the nearest first


def install(path: str) -> None:
    """Begin to note events in the file `path`. A hook cannot be removed."""
    root = os.environ.get("REHEARSAL_ROOT", "")
    own = [*(root + folder for folder in MAY_WRITE), os.path.expanduser("~")]
    may_write = (*DEVICES, *own, *map(os.path.realpath, own))
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        global _busy
        if _busy or (event != "open" and event not in NETWORK and event not in CHANGES):
            return
        _busy = True
        try:
            if address := _network(event, arguments):
                _note(handle, "network", event, address)
            elif name := _written_path(event, arguments, may_write):
                _note(handle, "write", event, name)
            elif event == "open" and (name := _not_shared(arguments)):
                _note(handle, EARLY, event, name)
        finally:
            _busy = False

    sys.addaudithook(hook)
    atexit.register(_note_libraries, os.path.join(os.path.dirname(path), LIBRARIES))
    if STACKS_SIGNAL is not None:
        stacks = os.path.join(os.path.dirname(path), STACKS)
        # Kept open: once a thread holds the interpreter's lock, no Python could open it.
        faulthandler.register(
            STACKS_SIGNAL, file=os.open(stacks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        )


def _network(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the host (and port) of another machine that an event is about."""
    if event not in NETWORK:
        return None
    address = arguments[0] if event.startswith("socket.get") else arguments[1]
    if isinstance(address, str | bytes) and not event.startswith("socket.get"):
        return None  # a socket in the file system
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or not isinstance(host, str) or host == "" or host.startswith(LOCAL):
        return None
    port = arguments[1] if event == "socket.getaddrinfo" else None
    port = address[1] if isinstance(address, tuple) else port
    return f"{host}:{port}" if port else host


def _written_path(event: str, arguments: tuple[Any, ...], may_write: tuple[str, ...]) -> str | None:
    """Return the path that an event would change where nothing may be changed."""
    if event == "open":
        path, mode, flags = arguments
        writes = bool(flags & WRITING) if isinstance(flags, int) else False
        if not writes and not (isinstance(mode, str) and set(mode) & set("wax+")):
            return None
    elif event in CHANGES:
        path = arguments[1] if event in ("os.rename", "os.symlink") else arguments[0]
    else:
        return None
    if isinstance(path, int):
        return None  # an open file, whose opening was noted
    name = os.path.abspath(os.fsdecode(path))
    if ".pyc" in name or name.endswith("__pycache__"):
        return None  # Python's own, which goes without where it may not write
    if any(name == folder or name.startswith(folder + "/") for folder in may_write):
        return None
    return name


def _not_shared(arguments: tuple[Any, ...]) -> str | None:
    """Return the path below /kaggle/shared that is opened and not there."""
    if isinstance(arguments[0], int):
        return None
    name = os.path.abspath(os.fsdecode(arguments[0]))
    return name if name.startswith(SHARED + "/") and not os.path.exists(name) else None


def _note(handle: int, kind: str, event: str, what: str) -> None:
    global _written
    _written += 1
    if _written > MOST:
        return
    noted = Event(kind=kind, event=event, what=what, sites=_sites(sys._getframe(1)))
    # One write to a file opened for appending: processes do not mix their lines.
    os.write(handle, (json.dumps(noted._asdict()) + "\n").encode())


def _note_libraries(path: str) -> None:
    """Add the files whose code this process has mapped, a line each."""
    global _busy
    _busy = True  # nothing of this is the notebook's
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
            fields = [line.rstrip("\n").split(maxsplit=5) for line in stream]
        names = {one[5] for one in fields if len(one) == 6 and "x" in one[1] and one[5][0] == "/"}
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, "".join(f"{name}\n" for name in sorted(names)).encode())
        os.close(handle)
    except OSError:
        pass  # there is no /proc on macOS


def _sites(frame: FrameType | None) -> list[str]:
    """Return up to four call sites outside the standard library, the nearest first."""
    sites: list[str] = []
    while frame and len(sites) < 4:
        name = frame.f_code.co_filename
        inside = name.startswith(LIBRARY) and "-packages" not in name
        if not inside and name != __file__:
            sites.append(f"{name}:{frame.f_lineno} in {frame.f_code.co_name}")
        frame = frame.f_back
    return sites


if "REHEARSAL_EVENTS" in os.environ:
    install(os.environ["REHEARSAL_EVENTS"])
