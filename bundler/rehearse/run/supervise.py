"""Run the commands of a rehearsal inside its sandbox, and save what is to be kept of it.

`python supervise.py SPEC.json`, the standard library only; in the sandbox this file is alone with
those of `FILES`. The sandbox's own folders vanish with it, so what is worth keeping is copied to
`out` before.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":  # started by its path, it does not know the package it is of
    sys.path.insert(0, str(Path(__file__).parents[3]))

from bundler.rehearse.run import programs

LOOK = 0.05  # seconds between two looks for the file that ends the notebook
SAVING = 20.0  # seconds that the notebook's driver has to save what was printed
KEPT_BYTES = 64 << 20  # a larger file is listed, not copied
REFUSED = 0x8185  # a DNS answer's flags: response, recursion, refused


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)  # beside the sandbox's own


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run, and where things are; paths are the sandbox's."""

    out: str  # what is kept goes here
    working: str
    tmp: str
    cpus: int
    watched_bytes: int  # that `working` may hold; 0: its file system sees to it
    mounted: list[str]  # folders of the machine below `working` or `tmp`: nothing was written there
    until_eof: bool  # end with the standard input: a container is no child of who started it
    notebook: Step
    probe: Step | None  # run where the notebook succeeded
    stop: str = ""  # the notebook is ended when this file appears; "": it ends by itself

    @classmethod
    def read(cls, path: str) -> "Spec":
        """Read what `json.dumps(asdict(spec))` wrote."""
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        probe = content["probe"]
        steps = {"notebook": Step(**content["notebook"]), "probe": probe and Step(**probe)}
        return cls(**content | steps)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the notebook ended, and what it left behind."""

    returncode: int
    start: float  # seconds since 1970
    end: float
    lost_packets: int  # sent to other machines, which no route leads to
    sizes: dict[str, int]  # of the files in /kaggle/working, bytes
    tmp_bytes: int
    disk: list[tuple[float, int, int]]  # seconds since 1970, bytes in /kaggle/working and in /tmp
    programs: list[str]  # that were executed
    programs_known: bool  # False: the kernel could not be made to tell
    libraries: list[str]  # whose code was mapped, as far as was looked
    full: bool  # the notebook was ended, since `working` held more than it may


def main(arguments: list[str]) -> int:
    """Run the notebook and, where it succeeds, the probe."""
    spec = Spec.read(arguments[0])
    out, working = Path(spec.out), Path(spec.working)
    if hasattr(os, "sched_setaffinity"):  # macOS has none
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec.cpus])
    if spec.until_eof:
        threading.Thread(target=end_with_input, daemon=True).start()
    answer_names(str(out / "names.txt"))
    before, start = lost_packets(), time.time()
    disk = DiskSeries(spec)
    code, seen = run_notebook(spec, disk)
    disk.stop()
    executed, libraries = seen.stop()
    ended = Ended(
        returncode=code,
        start=start,
        end=time.time(),
        lost_packets=lost_packets() - before,
        sizes=keep(working, out / "working"),
        tmp_bytes=used(spec.tmp, spec.mounted),
        disk=disk.looks,
        programs=executed,
        programs_known=seen.known,
        libraries=libraries,
        full=disk.full,
    )
    # Its appearance tells the watchdog that the notebook's time and memory no longer count.
    (out / "notebook.json").write_text(json.dumps(asdict(ended)), encoding="utf-8")
    if code == 0 and spec.probe:
        code = run(spec.probe, working, out)
    return code


def end_with_input() -> None:
    """End this process, and with it its container, when nobody holds the other end any more."""
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def run_notebook(spec: Spec, disk: "DiskSeries") -> tuple[int, programs.Programs]:
    """Run the notebook, and note what it executes and what it writes."""
    step, out = spec.notebook, Path(spec.out)
    with (out / f"{step.name}.log").open("wb") as sink:
        process, seen = programs.start(
            step.command, cwd=Path(spec.working), env=os.environ | step.env, sink=sink.fileno()
        )
        disk.process = process
        return wait_or_end(process, spec.stop) if spec.stop else process.wait(), seen


def run(step: Step, folder: Path, out: Path) -> int:
    """Run one command in `folder` and return its exit code; what it prints goes to a log."""
    with (out / f"{step.name}.log").open("wb") as sink:
        return subprocess.call(
            step.command,
            cwd=folder,
            env=os.environ | step.env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )


def wait_or_end(process: "subprocess.Popen[bytes]", stop: str) -> int:
    """Wait for a server, and end it when the file `stop` appears: by itself it serves forever."""
    while process.poll() is None:
        if os.path.exists(stop):
            end(process)
            return 0
        time.sleep(LOOK)
    return process.returncode


def end(process: "subprocess.Popen[bytes]") -> None:
    """End what a command has started, then the command, which first saves what it has."""
    # Kernel and server first: the notebook's driver writes what was printed when its kernel dies.
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    try:
        process.wait(SAVING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(root: int) -> list[int]:
    """Return the ids of a process's children, and theirs."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # A program's name, in parentheses, may hold blanks and parentheses itself.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found, added = [], [root]
    while added:
        added = [pid for pid, parent in parents.items() if parent in added]
        found += added
    return found


def keep(folder: Path, target: Path) -> dict[str, int]:
    """Copy the small files of a folder; return the size of each, in bytes."""
    sizes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        sizes[name] = path.stat().st_size
        if sizes[name] <= KEPT_BYTES:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)
    return sizes


def used(folder: str, mounted: list[str]) -> int:
    """Return the bytes of all files in a folder, without what is mounted below it.

    Files may come and go meanwhile.
    """
    total = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(parent, name) not in mounted]
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


class DiskSeries(threading.Thread):
    """Notes how much two folders hold while the notebook runs: a full disk ends a run, too."""

    EVERY = 1.0  # seconds between two looks, at first
    MOST = 1000  # looks that are kept
    PAUSES = 20  # times that a look took, before the next: many files must not slow the run

    def __init__(self, spec: Spec) -> None:
        super().__init__(daemon=True)
        self._spec, self._ended = spec, threading.Event()
        self.looks: list[tuple[float, int, int]] = []
        self.full = False
        self.process: subprocess.Popen[bytes] | None = None  # to end where the disk is full
        self.start()

    def run(self) -> None:
        """Look again and again until it is stopped."""
        pause = 0.0
        while not self._ended.wait(pause):
            start = time.monotonic()
            self._look()
            pause = max(self.EVERY, self.PAUSES * (time.monotonic() - start))

    def stop(self) -> None:
        """Look a last time."""
        self._ended.set()
        self.join()
        self._look()

    def _look(self) -> None:
        spec = self._spec
        working, tmp = used(spec.working, spec.mounted), used(spec.tmp, spec.mounted)
        self.looks.append((time.time(), working, tmp))
        if len(self.looks) > self.MOST:  # a run of hours: of two neighbours the fuller one stays
            pairs = zip(self.looks[::2], self.looks[1::2], strict=False)
            self.looks = [max(pair, key=lambda look: look[1] + look[2]) for pair in pairs]
        if spec.watched_bytes and working > spec.watched_bytes and self.process:
            self.full = True
            # With it the notebook's kernel ends, which looks after its parent.
            self.process.kill()


def lost_packets() -> int:
    """Return how many packets had no route, as this network namespace's kernel counts (RFC 4293).

    In a network of loopback alone, each is an attempt to reach another machine by its address.
    """
    try:
        names, values = [
            line.split() for line in _lines("/proc/net/snmp") if line.startswith("Ip:")
        ]
        count = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
        newer = [line.split() for line in _lines("/proc/net/snmp6")]
        return count + sum(int(fields[1]) for fields in newer if fields[0] == "Ip6OutNoRoutes")
    except (OSError, ValueError, KeyError):
        return 0  # a kernel that does not count


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []


def answer_names(log: str) -> None:
    """Refuse every question for a name at once, and note it: programs other than Python ask, too.

    Without somebody who answers, each question would wait for seconds.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", 53))
    except OSError:  # no right to, or, with sandbox-exec, the laptop's own name server
        server.close()
        return
    threading.Thread(target=_answer, args=(server, log), daemon=True).start()


def _answer(server: socket.socket, log: str) -> None:
    while True:
        question, sender = server.recvfrom(4096)
        name = _name(question)
        with open(log, "a", encoding="utf-8") as sink:
            sink.write(name + "\n")
        # RFC 1035, 4.1: the id, flags, one question, no other records, the question itself.
        flags = REFUSED.to_bytes(2, "big")
        server.sendto(question[:2] + flags + question[4:6] + bytes(6) + question[12:], sender)


def _name(question: bytes) -> str:
    """Return the name in a question: after the header of 12 bytes, labels led by their length."""
    labels, at = [], 12
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode(errors="replace"))
        at += question[at] + 1
    return ".".join(labels)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
