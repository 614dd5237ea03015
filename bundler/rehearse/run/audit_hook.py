"""Note what a Python inside the rehearsal tries: the network, and writing where it must not.

Runs as `sitecustomize` in every Python of the rehearsal; the standard library only. Each attempt
becomes a line of JSON in the file that REHEARSAL_WATCH names, with the call site.
"""

import json
import os
import sys
import sysconfig
from types import FrameType
from typing import Any

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.symlink")
LOCAL = ("127.", "localhost", "::1", "0.0.0.0")
MAY_WRITE = ("/kaggle/working", "/tmp", "/rehearsal")  # below REHEARSAL_ROOT, if there is one
DEVICES = ("/dev", "/proc")
OF_THE_HOME = (".ipython", ".jupyter", ".local/share/jupyter", ".cache", ".config")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
MOST = 200  # lines; the first ones tell

_written = 0
_busy = False


def watch(path: str) -> None:
    """Begin to note attempts in the file `path`."""
    home = os.path.expanduser("~")
    root = os.environ.get("REHEARSAL_ROOT", "")
    own = [*(root + place for place in MAY_WRITE), *(f"{home}/{name}" for name in OF_THE_HOME)]
    may_write = (*DEVICES, *own, *map(os.path.realpath, own))
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        global _busy
        if _busy or (event != "open" and event not in NETWORK and event not in CHANGES):
            return
        _busy = True
        try:
            what = _network(event, arguments) or _writing(event, arguments, may_write)
            if what:
                _note(handle, what)
        finally:
            _busy = False

    sys.addaudithook(hook)


def _network(event: str, arguments: tuple[Any, ...]) -> dict[str, str] | None:
    if event not in NETWORK:
        return None
    address = arguments[0] if event.startswith("socket.get") else arguments[1]
    if isinstance(address, str | bytes) and not event.startswith("socket.get"):
        return None  # a socket of this machine's file system
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or not isinstance(host, str) or host == "" or host.startswith(LOCAL):
        return None
    port = arguments[1] if event == "socket.getaddrinfo" else None
    port = address[1] if isinstance(address, tuple) else port
    return {"kind": "network", "event": event, "what": f"{host}:{port}" if port else host}


def _writing(
    event: str, arguments: tuple[Any, ...], may_write: tuple[str, ...]
) -> dict[str, str] | None:
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
        return None
    name = os.path.abspath(os.fsdecode(path))
    if ".pyc" in name or name.endswith("__pycache__"):
        return None  # Python's own, which goes without where it may not write
    if any(name == place or name.startswith(place + "/") for place in may_write):
        return None
    return {"kind": "write", "what": name}


def _note(handle: int, what: dict[str, str]) -> None:
    global _written
    _written += 1
    if _written > MOST:
        return
    line = json.dumps({**what, "sites": _sites(sys._getframe(1))})
    os.write(handle, (line + "\n").encode())


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


if "REHEARSAL_WATCH" in os.environ:
    watch(os.environ["REHEARSAL_WATCH"])
