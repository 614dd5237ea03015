"""The run itself: the very notebook, in a sandbox that is laid out as on Kaggle."""

import datetime
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.competition import run_report
from bundler.competition.gateway.process import GatewayOutput
from bundler.competition.protocol import RunOutput
from bundler.rehearse.run import audit_hook, gateway, watchdog
from bundler.rehearse.run.audit_hook import Event
from bundler.rehearse.run.gateway import Beside
from bundler.rehearse.run.layout import WORKING
from bundler.rehearse.run.setup import Kind, RunSetup
from bundler.rehearse.run.stalls import StallWatch
from bundler.rehearse.run.supervise import Ended
from bundler.rehearse.run.watchdog import Usage
from bundler.sandbox import backends, pod
from inference.boot import record

HEAD, TAIL = 256 << 10, 1 << 20  # bytes of a log that are read
GRACE = 300.0  # seconds that the measuring after the notebook may take


@dataclass(frozen=True, kw_only=True)
class NotebookRun:
    """One run of the notebook: how it ended, what it tried, what it used and left behind."""

    layout: str
    kind: Kind
    size: int  # of the hidden test
    returncode: int | None  # of the notebook; None where the sandbox itself ended early
    log: str  # what the notebook printed
    error: str | None  # the exception of the cell that failed
    cells: tuple[tuple[float, float], ...]  # begin and end of each cell, seconds after the start
    seconds: float
    sizes: Mapping[str, int]  # of the files in /kaggle/working, bytes
    tmp_bytes: int
    programs: tuple[str, ...] | None  # that were executed; None: not known
    libraries: tuple[str, ...]  # whose code was mapped
    working: str  # how the size of /kaggle/working is kept, for people
    full: bool  # it was ended, since that folder held more than it may
    working_peak: int  # bytes, while the command ran: pip needs room before it, and gives it back
    tmp_peak: int
    events: tuple[Event, ...]  # that Python noted
    names: tuple[str, ...]  # that any program asked a name server for
    lost_packets: int  # to other machines, by the kernel's count
    usage: Usage
    ids: Mapping[str, str]  # kind → id of the bundles that were used, by run.json; empty without it
    output: RunOutput

    @property
    def command_seconds(self) -> float:
        """Return the seconds of the command: without the kernel's start, verifying, installing."""
        peaks = self.usage.peaks
        if "kernel" not in peaks:
            return self.seconds  # where processes cannot be told apart
        return peaks["command"].seconds if "command" in peaks else 0.0

    @property
    def fixed_seconds(self) -> float:
        """Return the seconds of everything but the command."""
        return self.seconds - self.command_seconds


def run(setup: RunSetup) -> NotebookRun:
    """Execute the notebook as Kaggle would, and measure afterwards in the same sandbox."""
    began = time.time()
    if setup.gateway is None:
        return _gather(setup, _run(setup), began)
    with gateway.beside(setup.gateway, setup.sandbox) as both:
        usage = _run(setup, both)
    left = both.output(usage, began, setup.limits.memory_bytes)
    return _gather(setup, usage, began, left)


def _run(setup: RunSetup, both: Beside | None = None) -> Usage:
    backend = pod.BACKEND if both else setup.backend
    process = backends.start(
        setup.command,
        both.notebook if both else setup.sandbox,
        backend=backend,
        env=setup.environment,
        log=setup.out / "sandbox.log",
        scratch=setup.folder,
    )
    ended = setup.out / "notebook.json"
    try:
        if both:
            both.start(process, ended)
        return watchdog.watch(
            process,
            root=backends.root(process, backend),
            memory=setup.limits.memory_bytes,
            seconds=setup.limits.seconds,
            until=ended,
            grace=GRACE,
            cpus=setup.limits.own_cpus,
            stalls=_stalls(setup),
        )
    finally:  # an interruption, too, leaves nothing running
        backends.end(process)


def _stalls(setup: RunSetup) -> StallWatch | None:
    """Return what notices a stall; None for a server, which waits for its gateway by design."""
    if setup.gateway:
        return None  # its gateway has deadlines
    return StallWatch(
        after=setup.limits.stall_seconds,
        stacks=setup.out / audit_hook.STACKS,
        submission=f"{WORKING}/{setup.hidden.submission}",
    )


# --- after ---


def _gather(
    setup: RunSetup, usage: Usage, began: float, left: GatewayOutput | None = None
) -> NotebookRun:
    out = setup.out
    events = tuple(Event(**json.loads(line)) for line in _lines(out / "events.jsonl"))
    if left is not None:
        early = tuple(event.what for event in events if event.kind == audit_hook.EARLY)
        left = replace(left, early_reads=tuple(dict.fromkeys(early)))
    ended = _ended(out / "notebook.json")
    executed = _executed(out / "executed.ipynb", ended.start if ended else began)
    output = _text(out / "notebook.log") + _text(out / "sandbox.log")
    disk = _while_it_ran(ended, usage) if ended else []
    failed = ended is None or ended.returncode != 0
    return NotebookRun(
        layout=setup.layout,
        kind=setup.kind,
        size=setup.hidden.size,
        returncode=ended.returncode if ended else None,
        log=executed.log,
        error=executed.error or (output.strip() if failed else None),
        cells=executed.cells,
        seconds=ended.end - ended.start if ended else time.time() - began,
        sizes=ended.sizes if ended else {},
        tmp_bytes=ended.tmp_bytes if ended else 0,
        programs=tuple(ended.programs) if ended and ended.programs_known else None,
        libraries=tuple(sorted({*_lines(out / audit_hook.LIBRARIES), *_mapped(ended)})),
        working=setup.working.describe(),
        full=ended.full if ended else False,
        working_peak=max((working for _, working, _ in disk), default=0),
        tmp_peak=max((tmp for _, _, tmp in disk), default=0),
        events=events,
        names=tuple(dict.fromkeys(_lines(out / "names.txt"))),
        lost_packets=ended.lost_packets if ended else 0,
        usage=usage,
        ids=_used_ids(out / "working" / record.NAME),
        output=RunOutput(
            working=out / "working",
            probe=out,
            report=run_report.read(out / "working" / "submission.json"),
            probe_log=_text(out / "probe.log"),
            gateway=left,
        ),
    )


def _while_it_ran(ended: Ended, usage: Usage) -> list[tuple[float, int, int]]:
    """Return the looks at the disk since the command began; at least the last one."""
    command = usage.peaks.get("command")
    since = usage.began + command.began if command else 0.0
    return [look for look in ended.disk if look[0] >= since] or ended.disk[-1:]


def _used_ids(path: Path) -> Mapping[str, str]:
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))["ids"]
        return {str(kind): str(identity) for kind, identity in ids.items()}
    # What the user's command writes under this name is not ours to read.
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


@dataclass(frozen=True, kw_only=True)
class _Executed:
    """What an executed notebook says of itself."""

    log: str = ""
    error: str | None = None
    cells: tuple[tuple[float, float], ...] = ()


def _executed(path: Path, start: float) -> _Executed:
    """Read what the cells printed, the error of one that failed, and when each of them ran."""
    log, error, cells = [], None, []
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _Executed()  # not there, or cut off when the run was ended
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream":
                log.append("".join(output["text"]))
            elif output["output_type"] == "error":
                error = f"{output['ename']}: {output['evalue']}"
        stamps = cell.get("metadata", {}).get("execution", {})
        begin, end = stamps.get("iopub.execute_input"), stamps.get("shell.execute_reply")
        if begin and end:
            cells.append((_seconds(begin) - start, _seconds(end) - start))
    return _Executed(log="".join(log), error=error, cells=tuple(cells))


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp()


def _ended(path: Path) -> Ended | None:
    try:
        return Ended(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # the sandbox ended before it was written whole


def _mapped(ended: Ended | None) -> Sequence[str]:
    return ended.libraries if ended else ()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _text(path: Path) -> str:
    """Return a text file; of a large one the beginning and the end, and how much lies between."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        left_out = os.fstat(stream.fileno()).st_size - HEAD - TAIL
        if left_out <= 0:
            return stream.read().decode(errors="replace")
        head = stream.read(HEAD).decode(errors="replace")
        stream.seek(-TAIL, os.SEEK_END)
        tail = stream.read().decode(errors="replace")
    return f"{head}\n[{left_out / 1e6:.1f} MB left out]\n{tail}"
