"""The flow of a rehearsal: examine → receive → hidden test set → perform → check → report."""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inference
from bundler import atomic, target
from bundler.errors import BundlerError, CheckError, UsageError
from bundler.notebook import submission
from bundler.rehearse import (
    answers,
    checks,
    examination,
    hidden,
    image,
    page,
    performance,
    projection,
    room,
    sandbox,
    standin,
    upload,
)
from bundler.rehearse.checks import Check
from bundler.rehearse.hidden import HiddenSet
from bundler.rehearse.image import Image
from bundler.rehearse.options import LAYOUTS, RehearseOptions
from bundler.rehearse.performance import Limits, Performance, Stage
from bundler.rehearse.projection import Projection
from bundler.rehearse.sandbox import SandboxError
from bundler.target import Target
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle

FORMAT = 1
REPORT, RESULT = "report.html", "rehearsal.json"
# The form in which each layout's datasets arrive; the others are verified without being run.
FORMS = {
    "new": dict.fromkeys(("libs", "model", "code"), upload.PUBLISHED),
    "legacy": {"libs": "name/", "model": upload.PUBLISHED, "code": "name/name/"},
}
FATAL = ("bundles", "upload", "ids", "wheels")  # where one of these fails, the notebook would
MARKS = {"passed": "ok", "failed": "FAILED", "unproven": "unproven"}
SHARE = 0.9  # of this machine's free memory that a rehearsal may use


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was rehearsed, and what came of it."""

    checks: tuple[Check, ...]
    projection: Projection | None
    provenance: Mapping[str, Any]
    stages: tuple[tuple[str, float, float], ...]  # name, begin, end: seconds
    seconds: float
    report: Path
    log: str = ""

    @property
    def passed(self) -> bool:
        """Say whether no check failed."""
        return not any(check.status == "failed" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "format": FORMAT,
            "passed": self.passed,
            "checks": [check.as_dict() for check in self.checks],
            "projection": self.projection.as_dict() if self.projection else None,
            "provenance": dict(self.provenance),
            "stages": [list(stage) for stage in self.stages],
            "seconds": round(self.seconds, 2),
            "report": str(self.report),
        }

    def summary(self) -> str:
        """Return the verdict first, then the checks, then where the report lies."""
        failed = [check for check in self.checks if check.status == "failed"]
        head = "The rehearsal passed" if self.passed else "The rehearsal FAILED"
        head += "" if self.passed else f": {', '.join(check.name for check in failed)}"
        lines = [f"{head}  ({self.seconds:.0f} s)"]
        for check in sorted(self.checks, key=lambda one: one.status != "failed"):
            first, *rest = check.said.splitlines() or [""]
            lines.append(f"  {MARKS[check.status]:8}  {check.name:18} {first}")
            lines += [f"{'':31}{line}" for line in rest] if check.status != "passed" else []
        lines += [f"  note      {note}" for note in self.provenance["notes"]]
        return "\n".join([*lines, f"  {self.report}"])


def run(options: RehearseOptions) -> Rehearsal:
    """Rehearse, write the report, and return what came of it. Raises BundlerError."""
    _validate(options)
    try:
        with only_one(options.out), ended_by_signals(), stage_folder(options.out) as folder:
            return rehearse(options, folder)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise BundlerError(
            f"The rehearsal cannot go on: {place}{error.strerror or error}. Nothing was left "
            "running; mend the disk or the permissions, and rehearse again."
        ) from error


def rehearse(options: RehearseOptions, folder: Path) -> Rehearsal:
    """Do all steps in the empty folder `folder`."""
    start = time.monotonic()
    say = _teller(options.quiet)
    settings = options.settings
    machine = target.load(settings.target, settings.root)
    found = examination.bundles(options.dist)
    backend = _backend()
    say("examine bundles, notebook and target")
    done = examination.examine(options.dist, found, settings, machine)
    seen: dict[str, Performance] = {}
    shown: HiddenSet | None = None
    played: Image | None = None
    limits = limits_here(options, machine)
    if not any(check.status == "failed" and check.name in FATAL for check in done):
        say("play the image and draw the hidden test set")
        played = play_image(options, machine, found["libs"])
        dist = options.dist
        if standin.needed(played, machine):
            say(f"bundle the same packages for Python {played.version}, which plays the target's")
            dist = standin.build(options, folder / "stand-in")
            done.append(standin.check(played, machine))
        ids = {kind: reader.read(dist / kind).id for kind in found}
        shown = hidden.write(
            folder / "hidden",
            patients=options.patients,
            competition=options.competition_dir,
            phantom_size=options.phantom_size,
        )
        for layout in options.layouts:
            say(f"perform the notebook, network cut, {layout} layout")
            stage = Stage(
                folder=folder / layout,
                notebook=dist / "notebook" / submission.NAME,
                published=receive(dist, folder / layout / "datasets", layout),
                hidden=shown if layout == options.layouts[0] else fewer(shown, folder / layout),
                image=played,
                settings=settings,
                limits=limits,
                layout=layout,
                backend=backend,
                measure_seconds=options.measure_seconds if layout == options.layouts[0] else None,
            )
            seen[layout] = performance.perform(stage)
            done += named(layout, options, checks.examine(seen[layout], stage, ids))
            if any(check.status == "failed" for check in done):
                break
    else:
        said = "not performed, since it would end at once with what failed above"
        done.append(Check(name="notebook ran", status="unproven", said=said))
    main = seen.get(options.layouts[0])
    projected = None
    if main and shown and main.report is not None and main.returncode == 0:
        say("compare the numbers and project the time")
        done += answers.compare(main, shown, options.dist / "model")
        projected = project(main, shown, options, machine, limits)
        done += projected.checks() if projected else []
    result = Rehearsal(
        checks=tuple(done),
        projection=projected,
        provenance=provenance(options, machine, found, played, shown, backend, limits),
        stages=tuple(timeline(seen)),
        seconds=time.monotonic() - start,
        report=options.out / REPORT,
        log="\n".join(f"{one.log}\n{one.error or ''}" for one in seen.values()),
    )
    write(result, options.out, main, shown)
    return result


# --- the steps ---


def play_image(options: RehearseOptions, machine: Target, libs: Bundle) -> Image:
    """Return the Python that plays the notebook's, with what the runner takes from the image."""
    if options.python is not None:
        return image.given(options.python, machine)
    return image.play(machine, libs.details.get("excluded", ()))


def receive(dist: Path, place: Path, layout: str) -> dict[str, Path]:
    """Upload each bundle in the layout's form; return the datasets by kind."""
    received = {}
    for kind, form in FORMS[layout].items():
        upload.receive(dist / kind, place / kind, form)
        received[kind] = place / kind
    return received


def fewer(shown: HiddenSet, folder: Path) -> HiddenSet:
    """Return the awkward cases alone: what another layout changes shows on few images."""
    place = folder / "hidden"
    for image_file in shown.planted:
        source = shown.path(image_file.row)
        if source.is_file():
            taken = place / source.relative_to(shown.folder)
            taken.parent.mkdir(parents=True, exist_ok=True)
            upload.link(source, taken)
    few = HiddenSet(folder=place, sample=(), planted=shown.planted, labels={}, source=shown.source)
    hidden.write_tables(few)
    return few


def named(layout: str, options: RehearseOptions, done: list[Check]) -> list[Check]:
    """Say of which layout's performance a check is, where there are two."""
    if layout == options.layouts[0]:
        return done
    return [
        Check(name=f"{check.name} ({layout})", status=check.status, said=check.said)
        for check in done
        if check.status == "failed" or check.name in ("notebook ran", "submission.csv")
    ]


def project(
    seen: Performance,
    shown: HiddenSet,
    options: RehearseOptions,
    machine: Target,
    limits: Limits,
) -> Projection | None:
    """Project the first performance to the hidden test on the target."""
    from bundler.targets import capture

    return projection.project(
        seen,
        sample=len(shown.sample),
        hidden_images=options.settings.hidden_images,
        target=machine,
        limits=limits,
        here_core_seconds=capture.core_seconds() if machine.core_seconds else None,
        limit_seconds=options.settings.time_limit_hours * 3600,
    )


def limits_here(options: RehearseOptions, machine: Target) -> Limits:
    """Return the target's limits, scaled to what this machine has, and what was scaled."""
    scaled = []
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if machine.cpus and machine.cpus > cpus:
        scaled.append(f"{cpus} CPUs here, {machine.cpus} there")
    free = int(_free_memory() * SHARE)
    memory = options.memory_bytes or machine.memory_bytes or free
    if memory > free:
        scaled.append(f"{free / 1e9:.1f} GB of memory free here, {memory / 1e9:.1f} GB there")
    return Limits(
        cpus=min(cpus, machine.cpus or cpus),
        memory_bytes=min(memory, free),
        working_bytes=options.working_bytes,
        seconds=options.settings.time_limit_hours * 3600,
        scaled=tuple(scaled),
    )


def _free_memory() -> int:
    path = Path("/proc/meminfo")
    if not path.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = dict(line.split(":") for line in path.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10


def provenance(
    options: RehearseOptions,
    machine: Target,
    found: Mapping[str, Bundle],
    played: Image | None,
    shown: HiddenSet | None,
    backend: str,
    limits: Limits,
) -> dict[str, Any]:
    """Return what was rehearsed with what, and what is unlike the target."""
    notes = [*(played.unlike if played else ()), *limits.scaled]
    if machine.estimate:
        notes.append(f"the target {machine.name} is an estimate: capture yours in a notebook")
    return {
        "bundles": examination.summary(found),
        "ids": {kind: bundle.id for kind, bundle in found.items()},
        "target": machine.name,
        "python": played.version if played else None,
        "sandbox": backend,
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
    seconds = report["seconds"]
    installed = begin + seconds.get("install", 0.0)
    finished = max(end - 0.2, installed)
    yield ("verify and install", begin, installed)
    yield ("open, decode, predict", installed, finished)
    yield ("write", finished, end)


def write(result: Rehearsal, out: Path, main: Performance | None, shown: HiddenSet | None) -> None:
    """Write report.html and rehearsal.json, each whole or not at all."""
    atomic.write_text(out / REPORT, page.render(result, main, shown))
    atomic.write_text(out / RESULT, json.dumps(result.as_dict(), indent=1) + "\n")


# --- the surroundings ---


def _validate(options: RehearseOptions) -> None:
    if options.patients < 0 or options.patients > 10_000:
        raise UsageError(f"--patients {options.patients}: choose from 0 (awkward cases) to 10000.")
    if not options.layouts or set(options.layouts) - set(LAYOUTS):
        raise UsageError(f"Layouts are {' and '.join(LAYOUTS)}.")
    folder = options.competition_dir
    if folder is not None and not (folder / "train.csv").is_file():
        raise UsageError(
            f"{folder / 'train.csv'} does not exist. --competition-dir names the folder with "
            "train.csv and train_images; leave it out to rehearse on phantoms."
        )


def _backend() -> str:
    chosen = room.choose_backend()
    if chosen is None:
        reasons = "; ".join(f"{name}: {why}" for name, why in room.backends().items())
        raise SandboxError(f"{sandbox.why_not() or sandbox.MEND} ({reasons})")
    return chosen


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Let one rehearsal at a time write to `out`; raise CheckError where another does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.parent / f".{out.name}.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            who = lock.read().strip() or "unknown"
            raise CheckError(
                f"Another rehearsal for {out} is running (process {who}). Wait until it has "
                "ended, or name another folder with --out."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def stage_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out`, and remove it; so, too, what a killed one left."""
    for left in out.parent.glob(f".{out.name}-stage-*"):  # we hold the lock: nobody uses it
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-stage-", dir=out.parent.resolve()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn a polite request to end into KeyboardInterrupt, so that all is cleaned up."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which then has to see to it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _teller(quiet: bool) -> Callable[[str], None]:
    return lambda text: None if quiet else print(f"… {text}", file=sys.stderr, flush=True)
