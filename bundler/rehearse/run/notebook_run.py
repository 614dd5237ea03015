"""The run itself: the very notebook, in a sandbox that is laid out as on Kaggle."""

import datetime
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.competition import run_report
from bundler.competition.protocol import RunOutput
from bundler.progress import Progress
from bundler.rehearse.run import audit_hook, watchdog
from bundler.rehearse.run.audit_hook import Event
from bundler.rehearse.run.layout import WORKING
from bundler.rehearse.run.setup import RunSetup
from bundler.rehearse.run.stalls import StallWatch
from bundler.rehearse.run.supervise import Ended
from bundler.rehearse.run.watchdog import Usage
from bundler.sandbox import backends
from inference.boot import record

HEAD, TAIL = 256 << 10, 1 << 20  # bytes of a log that are read
GRACE = 300.0  # seconds that the measuring after the notebook may take


@dataclass(frozen=True, kw_only=True)
class NotebookRun:
    """One run of the notebook: how it ended, what it tried, what it used and left behind."""

    layout: str
    rerun: bool  # False: on the public test
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
    working_peak: int  # bytes, while it ran
    tmp_peak: int
    events: tuple[Event, ...]  # that Python noted
    names: tuple[str, ...]  # that any program asked a name server for
    lost_packets: int  # to other machines, by the kernel's count
    usage: Usage
    ids: Mapping[str, str]  # kind → id of the bundles that were used, by run.json; empty without it
    output: RunOutput


def run_each(setups: Sequence[RunSetup], progress: Progress) -> tuple[NotebookRun, ...]:
    """Run the notebook in each layout; stop after a run that fails, since the next would, too."""
    runs: list[NotebookRun] = []
    for setup in setups:
        progress.step(f"Running the notebook, network cut, {setup.title}")
        runs.append(run(setup))
        if runs[-1].returncode != 0:
            break
    return tuple(runs)


def run(setup: RunSetup) -> NotebookRun:
    """Execute the notebook as Kaggle would, and measure afterwards in the same sandbox."""
    began = time.time()
    usage = _run(setup)
    return _gather(setup, usage, began)


def _run(setup: RunSetup) -> Usage:
    process = backends.start(
        setup.command,
        setup.sandbox,
        backend=setup.backend,
        env=setup.environment,
        log=setup.out / "sandbox.log",
        scratch=setup.folder,
    )
    try:
        return watchdog.watch(
            process,
            memory=setup.limits.memory_bytes,
            seconds=setup.limits.seconds,
            until=setup.out / "notebook.json",
            grace=GRACE,
            cpus=setup.limits.own_cpus,
            stalls=StallWatch(
                after=setup.limits.stall_seconds,
                stacks=setup.out / audit_hook.STACKS,
                submission=f"{WORKING}/{setup.hidden.submission}",
            ),
        )
    finally:  # an interruption, too, leaves nothing running
        backends.end(process)


# --- after ---


def _gather(setup: RunSetup, usage: Usage, began: float) -> NotebookRun:
    out = setup.out
    ended = _ended(out / "notebook.json")
    executed = _executed(out / "executed.ipynb", ended.start if ended else began)
    output = _text(out / "notebook.log") + _text(out / "sandbox.log")
    failed = ended is None or ended.returncode != 0
    return NotebookRun(
        layout=setup.layout,
        rerun=setup.rerun,
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
        working_peak=ended.working_peak if ended else 0,
        tmp_peak=ended.tmp_peak if ended else 0,
        events=tuple(Event(**json.loads(line)) for line in _lines(out / "events.jsonl")),
        names=tuple(dict.fromkeys(_lines(out / "names.txt"))),
        lost_packets=ended.lost_packets if ended else 0,
        usage=usage,
        ids=_used_ids(out / "working" / record.NAME),
        output=RunOutput(
            working=out / "working",
            probe=out,
            report=run_report.read(out / "working" / "submission.json"),
            probe_log=_text(out / "probe.log"),
        ),
    )


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
