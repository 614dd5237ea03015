"""Where a rehearsal's result comes from: what was rehearsed with what, and when what happened."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import inference
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.image.emulation import EmulatedImage
from bundler.image.target import Target
from bundler.rehearse.checks import preflight
from bundler.rehearse.run.layout import Limits
from bundler.rehearse.run.notebook_run import Performance
from bundler.sandbox import seatbelt
from inference.boot.bundle import Bundle


def describe(
    machine: Target,
    found: Mapping[str, Bundle],
    played: EmulatedImage | None,
    shown: HiddenSet | None,
    backend: str,
    limits: Limits,
    layouts: Sequence[str],
) -> dict[str, Any]:
    """Return what was rehearsed with what, and what is unlike the target."""
    notes = [*(played.differences if played else ()), *limits.scaled]
    if backend == seatbelt.PROGRAM:
        notes.append(seatbelt.UNTESTED)
    if machine.estimate:
        notes.append(f"the target {machine.name} is an estimate: capture yours in a notebook")
    return {
        "bundles": preflight.summary(found),
        "ids": {kind: bundle.id for kind, bundle in found.items()},
        "target": machine.name,
        "python": played.version if played else None,
        "sandbox": backend,
        "layouts": list(layouts),
        "machine": f"{platform.system()} {platform.machine()}, {limits.cpus} CPUs used",
        "images": shown.source if shown else None,
        "tool": inference.__version__,
        "when": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "notes": notes,
    }


def timeline(seen: Mapping[str, Performance]) -> Iterator[tuple[str, float, float]]:
    """Yield the stages of the first performance: name, begin and end in seconds."""
    for one in list(seen.values())[:1]:
        before = 0.0
        names = ("verify the code", "run")
        for name, (begin, end) in zip(names, one.cells, strict=False):
            yield ("start the kernel" if before == 0.0 else "between cells", before, begin)
            if name == "run" and one.report:
                yield from _inside(one.report, begin, end)
            else:
                yield (name, begin, end)
            before = end


def _inside(
    report: Mapping[str, Any], begin: float, end: float
) -> Iterator[tuple[str, float, float]]:
    installed = begin + report["seconds"].get("install", 0.0)
    yield ("verify and install", begin, installed)
    yield ("open, decode, predict", installed, end)
