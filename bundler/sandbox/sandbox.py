"""What a command sees instead of this machine: an empty root with a few folders in it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler import process
from bundler.sandbox import seatbelt

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix", "/sys")
DEVICES = ("nvidia*", "kfd", "dri")  # what a GPU needs of /dev
BACKENDS = ("bubblewrap", "namespaces", "sandbox-exec")
PREFIXES = "import sys; print(sys.prefix, sys.base_prefix, sys.exec_prefix, sep='\\n')"


@dataclass(frozen=True, kw_only=True)
class Room:
    """Folders by the path at which the command finds them; all else of the machine is absent.

    `limited` are empty folders in memory that hold no more than so many bytes.
    """

    read_only: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)

    @property
    def mounts(self) -> list[tuple[str, str, str | int]]:
        """Return (place, kind, folder or size), an outer place before what lies in it."""
        named: list[tuple[str, str, str | int]] = [
            *((place, "limited", size) for place, size in self.limited.items()),
            *((place, "read_only", folder) for place, folder in system_folders().items()),
            *((place, "read_only", folder) for place, folder in _text(self.read_only).items()),
            *((place, "writable", folder) for place, folder in _text(self.writable).items()),
        ]
        return sorted(named, key=lambda mount: mount[0].count("/"))

    def as_dict(self) -> dict[str, Any]:
        """Return what `inside.py` is told."""
        devices = [str(path) for path in gpu_devices()]
        return {"links": system_links(), "mounts": self.mounts, "devices": devices}

    def bubblewrap(self) -> list[str]:
        """Return the words of bubblewrap that make this room."""
        words = ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
        for place, target in system_links().items():
            words += ["--symlink", target, place]
        for place, kind, what in self.mounts:
            if kind == "limited":
                words += ["--size", str(what), "--tmpfs", place]
            else:
                words += ["--ro-bind" if kind == "read_only" else "--bind", str(what), place]
        for device in gpu_devices():
            words += ["--dev-bind", str(device), str(device)]
        return [*words, "--remount-ro", "/"]


def _text(folders: Mapping[str, Path]) -> dict[str, str]:
    return {place: str(folder.resolve()) for place, folder in folders.items()}


def system_folders() -> dict[str, str]:
    """Return the folders of the operating system, which every machine has."""
    return {name: name for name in SYSTEM if os.path.isdir(name) and not os.path.islink(name)}


def system_links() -> dict[str, str]:
    """Return the system's folders that are links, such as /bin → usr/bin."""
    return {name: os.readlink(name) for name in SYSTEM if os.path.islink(name)}


def gpu_devices() -> list[Path]:
    """Return the device files of the GPUs."""
    return sorted(path for pattern in DEVICES for path in Path("/dev").glob(pattern))


def python_folders(pythons: Iterable[Path]) -> dict[str, Path]:
    """Return the folders that some Pythons need to run, at the paths where they lie."""
    found: dict[str, Path] = {}
    for python in pythons:
        prefixes = process.run([python, "-I", "-c", PREFIXES]).stdout.splitlines()
        links = [str(python.absolute().parent.parent), str(python.resolve().parent.parent)]
        for name in (*prefixes, *links):
            if name != "/" and not _within(name, system_folders()):
                found[name] = Path(name)
    outer = sorted(found, key=len)
    return {name: found[name] for name in outer if not _within(name, set(found) - {name})}


def _within(name: str, folders: Iterable[str]) -> bool:
    return any(name == folder or name.startswith(folder + "/") for folder in folders)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies: for use before an exec."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, <sys/prctl.h>


def start(
    words: list[str | Path],
    room: Room,
    *,
    backend: str,
    env: Mapping[str, str],
    log: Path,
    scratch: Path,
) -> "subprocess.Popen[bytes]":
    """Start a command in a room, without a network; its output goes to `log`.

    `backend` is one of `BACKENDS`. The room ends with the command, and both end with this process,
    however it ends; with `sandbox-exec` they end when `end` is called.
    """
    if backend == "sandbox-exec":
        links = {**room.read_only, **room.writable}
        seatbelt.lay_out(scratch / "root", links, room.limited)
        before = seatbelt.words(room.read_only.values())
    elif backend == "bubblewrap":
        apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        if os.geteuid() != 0:
            apart += ["--unshare-user", "--uid", "0", "--gid", "0"]  # root there, as on Kaggle
        allowed = ["--cap-add", "CAP_NET_BIND_SERVICE"]  # to answer questions for names
        before = ["bwrap", "--die-with-parent", *apart, *allowed, *room.bubblewrap(), "--"]
    else:
        spec, root = scratch / "room.json", scratch / "root"
        root.mkdir(exist_ok=True)
        spec.write_text(json.dumps({"root": str(root), **room.as_dict()}), encoding="utf-8")
        inside = Path(__file__).with_name("sandbox_init.py")
        before = [*unshare_words(), sys.executable, "-I", str(inside), "--room", str(spec), "--"]
    program = shutil.which(before[0]) or before[0]  # by our PATH, not by the room's
    with log.open("ab") as sink:
        return subprocess.Popen(
            [program, *before[1:], *map(str, words)],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a command that was started in a room, and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def unshare_words() -> list[str]:
    """Return the words that give a command namespaces of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--"]


def backends() -> dict[str, str | None]:
    """Return for each way to make a room why it does not work here, or None."""
    return {name: _why_not(name) for name in BACKENDS}


def choose_backend() -> str | None:
    """Return the first way to make a room that works here; None where none does."""
    return next((name for name in BACKENDS if _why_not(name) is None), None)


def _why_not(backend: str) -> str | None:
    import tempfile

    if backend == "sandbox-exec":
        return seatbelt.why_not()
    program = {"bubblewrap": "bwrap", "namespaces": "unshare"}[backend]
    if sys.platform != "linux":
        return "this is not Linux"
    if not shutil.which(program):
        package = {"bubblewrap": "bubblewrap", "namespaces": "util-linux"}[backend]
        return f"the program {program} is missing: install the package {package}"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "limited").mkdir()
        room = Room(writable={"/room": scratch}, limited={"/limited": 1 << 20})
        env = {"PATH": os.environ.get("PATH", os.defpath)}
        log = scratch / "log"
        started = start(["/bin/true"], room, backend=backend, env=env, log=log, scratch=scratch)
        if started.wait() == 0:
            return None
        return log.read_text(errors="replace").strip() or "it fails without a word"
