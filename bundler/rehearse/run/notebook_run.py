"""The performance itself: the very notebook, in a room that is laid out as on Kaggle."""

import datetime
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler.rehearse.run import watchdog
from bundler.rehearse.run.layout import Stage, environment, lay_out, make_room
from bundler.rehearse.run.watchdog import Watched
from bundler.sandbox import sandbox

AFTER = 300.0  # seconds that the measuring after the notebook may take


@dataclass(frozen=True, kw_only=True)
class Performance:
    """What was seen."""

    layout: str
    returncode: int | None  # of the notebook; None where the room itself ended early
    log: str  # what the notebook printed
    error: str | None  # the exception of the cell that failed
    cells: tuple[tuple[float, float], ...]  # begin and end of each cell, seconds after the start
    seconds: float
    working: Path  # what lay in /kaggle/working
    sizes: Mapping[str, int]
    home: tuple[str, ...]
    disk_bytes: int
    attempts: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]  # that any program asked a name server for
    sent_nowhere: int  # packets to other machines, by the kernel's count
    watched: Watched
    report: Mapping[str, Any] | None  # submission.json
    probed: Mapping[str, Any] | None = None
    probe_log: str = ""
    inputs: Path | None = field(default=None)  # of the probed images, as .npz


def perform(stage: Stage) -> Performance:
    """Execute the notebook as Kaggle would, and measure afterwards in the same room."""
    began = time.time()
    out = lay_out(stage)
    watched = _run(stage, out)
    return _gather(stage, out, watched, began)


def _run(stage: Stage, out: Path) -> Watched:
    own = stage.at("/rehearsal")
    running = sandbox.start(
        [sys.executable, "-I", f"{own}/supervise.py", f"{own}/spec.json"],
        make_room(stage, out),
        backend=stage.backend,
        env=environment(stage),
        log=out / "room.log",
        scratch=stage.folder,
    )
    try:
        return watchdog.watch(
            running,
            memory=stage.limits.memory_bytes,
            seconds=stage.limits.seconds,
            until=out / "notebook.json",
            grace=AFTER,
        )
    finally:  # an interruption, too, leaves nothing running
        sandbox.end(running)


# --- after ---


def _gather(stage: Stage, out: Path, watched: Watched, began: float) -> Performance:
    ended = _json(out / "notebook.json") or {}
    executed = _json(out / "executed.ipynb") or {"cells": []}
    log, error = _said(executed)
    start = ended.get("start", began)
    own = _text(out / "notebook.log") + _text(out / "room.log")
    return Performance(
        layout=stage.layout,
        returncode=ended.get("returncode"),
        log=log,
        error=error or (own.strip() if ended.get("returncode", 1) else None),
        cells=_cell_times(executed, start),
        seconds=ended.get("end", time.time()) - start,
        working=out / "working",
        sizes=ended.get("working", {}),
        home=tuple(ended.get("home", ())),
        disk_bytes=int(ended.get("disk_bytes", 0)),
        attempts=tuple(json.loads(line) for line in _text(out / "attempts.jsonl").splitlines()),
        names=tuple(dict.fromkeys(_text(out / "names.txt").splitlines())),
        sent_nowhere=int(ended.get("sent_nowhere", 0)),
        watched=watched,
        report=_json(out / "working" / "submission.json"),
        probed=_json(out / "probed.json"),
        probe_log=_text(out / "probe.log"),
        inputs=out / "inputs.npz" if (out / "inputs.npz").is_file() else None,
    )


def _said(executed: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what an executed notebook printed, and its error where a cell failed."""
    log, error = [], None
    for cell in executed["cells"]:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream":
                log.append("".join(output["text"]))
            elif output["output_type"] == "error":
                error = f"{output['ename']}: {output['evalue']}"
    return "".join(log), error


def _cell_times(executed: Mapping[str, Any], start: float) -> tuple[tuple[float, float], ...]:
    times = []
    for cell in executed["cells"]:
        said = cell.get("metadata", {}).get("execution", {})
        begin, end = said.get("iopub.execute_input"), said.get("shell.execute_reply")
        if begin and end:
            stamps = [datetime.datetime.fromisoformat(stamp).timestamp() for stamp in (begin, end)]
            times.append((stamps[0] - start, stamps[1] - start))
    return tuple(times)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError:
        return None  # not there, or cut off when it was ended
