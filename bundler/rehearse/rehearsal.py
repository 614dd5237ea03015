"""The flow of a rehearsal: examine → play the image → perform → compare → project → report."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler import atomic
from bundler.competition.screening import hidden_test, parity
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.errors import BundlerError, UsageError
from bundler.image import target
from bundler.image.emulation import EmulatedImage
from bundler.image.target import Target
from bundler.notebook import submission
from bundler.rehearse import lock
from bundler.rehearse.checks import checks, preflight, projection
from bundler.rehearse.checks.checks import Check
from bundler.rehearse.checks.projection import Projection
from bundler.rehearse.options import LAYOUTS, RehearseOptions
from bundler.rehearse.report import page, provenance
from bundler.rehearse.result import Rehearsal
from bundler.rehearse.run import inputs, notebook_run, substitute
from bundler.rehearse.run.layout import Limits, Stage
from bundler.rehearse.run.notebook_run import Performance
from bundler.sandbox import offline, sandbox
from bundler.sandbox.offline import SandboxError
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle

REPORT, RESULT = "report.html", "rehearsal.json"
FATAL = ("bundles", "upload", "ids", "wheels")  # where one of these fails, the notebook would


@dataclass(kw_only=True)
class Plan:
    """What one rehearsal works with, and what it has seen so far."""

    options: RehearseOptions
    folder: Path
    machine: Target
    found: Mapping[str, Bundle]
    backend: str
    limits: Limits
    say: Callable[[str], None]
    done: list[Check] = field(default_factory=list)
    played: EmulatedImage | None = None
    shown: HiddenSet | None = None
    seen: dict[str, Performance] = field(default_factory=dict)
    projected: Projection | None = None

    @property
    def failed(self) -> bool:
        """Say whether a check has failed."""
        return any(check.status == "failed" for check in self.done)

    @property
    def main(self) -> Performance | None:
        """Return the first performance, which is measured."""
        return self.seen.get(self.options.layouts[0])


def run(options: RehearseOptions) -> Rehearsal:
    """Rehearse, write the report, and return what came of it. Raises BundlerError."""
    _validate(options)
    try:
        with (
            lock.only_one(options.out),
            lock.ended_by_signals(),
            lock.stage_folder(options.out) as folder,
        ):
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
    plan = prepare(options, folder)
    examine(plan)
    if any(check.status == "failed" and check.name in FATAL for check in plan.done):
        said = "not performed, since it would end at once with what failed above"
        plan.done.append(Check(name="notebook ran", status="unproven", said=said))
    else:
        perform(plan)
        compare(plan)
    result = conclude(plan, time.monotonic() - start)
    write(result, plan)
    return result


# --- the steps ---


def prepare(options: RehearseOptions, folder: Path) -> Plan:
    """Read the target and the bundles, and find a way to cut the network off."""
    machine = target.load(options.settings.target, options.settings.root)
    return Plan(
        options=options,
        folder=folder,
        machine=machine,
        found=preflight.bundles(options.dist),
        backend=_backend(),
        limits=inputs.limits_here(options, machine),
        say=_teller(options.quiet),
    )


def examine(plan: Plan) -> None:
    """Check what can be known before the performance."""
    plan.say("examine bundles, notebook and target")
    options = plan.options
    plan.done += preflight.examine(options.dist, plan.found, options.settings, plan.machine)


def perform(plan: Plan) -> None:
    """Execute the notebook in each layout, until one fails."""
    options = plan.options
    plan.say("play the image and draw the hidden test set")
    plan.played = inputs.emulate_image(options, plan.machine, plan.found["libs"])
    dist = options.dist
    if substitute.needed(plan.played, plan.machine):
        plan.say(f"bundle the same packages for Python {plan.played.version}")
        dist = substitute.build(options, plan.folder / "stand-in")
        plan.done.append(substitute.check(plan.played, plan.machine))
    plan.shown = hidden_test.write(
        plan.folder / "hidden",
        patients=options.patients,
        competition=options.competition_dir,
        phantom_size=options.phantom_size,
    )
    ids = {kind: reader.read(dist / kind).id for kind in plan.found}
    for layout in options.layouts:
        plan.say(f"perform the notebook, network cut, {layout} layout")
        stage = _stage(plan, plan.played, plan.shown, dist, layout)
        plan.seen[layout] = notebook_run.perform(stage)
        plan.done += named(layout, options, checks.examine(plan.seen[layout], stage, ids))
        if plan.failed:
            return


def _stage(plan: Plan, played: EmulatedImage, shown: HiddenSet, dist: Path, layout: str) -> Stage:
    options, folder = plan.options, plan.folder / layout
    first = layout == options.layouts[0]
    return Stage(
        folder=folder,
        notebook=dist / "notebook" / submission.NAME,
        published=inputs.receive(dist, folder / "datasets", layout),
        hidden=shown if first else inputs.fewer(shown, folder),
        image=played,
        settings=options.settings,
        limits=plan.limits,
        layout=layout,
        backend=plan.backend,
        measure_seconds=options.measure_seconds if first else None,
    )


def compare(plan: Plan) -> None:
    """Compare the numbers with the laptop's, and project time, memory and disk."""
    main, shown = plan.main, plan.shown
    if main is None or shown is None or main.report is None or main.returncode != 0:
        return
    plan.say("compare the numbers and project the time")
    plan.done += parity.compare(main, shown, plan.options.dist / "model")
    plan.projected = project(plan, main, shown)
    if plan.projected:
        plan.done += plan.projected.checks()


def named(layout: str, options: RehearseOptions, done: list[Check]) -> list[Check]:
    """Say of which layout's performance a check is, where there are two."""
    if layout == options.layouts[0]:
        return done
    return [
        Check(name=f"{check.name} ({layout})", status=check.status, said=check.said)
        for check in done
        if check.status == "failed" or check.name in ("notebook ran", "submission.csv")
    ]


def project(plan: Plan, seen: Performance, shown: HiddenSet) -> Projection | None:
    """Project the first performance to the hidden test on the target."""
    from bundler.image import capture

    settings, machine = plan.options.settings, plan.machine
    return projection.project(
        seen,
        mixture=shown.mixture,
        hidden_images=settings.hidden_units,
        target=machine,
        limits=plan.limits,
        here_core_seconds=capture.core_seconds() if machine.core_seconds else None,
        limit_seconds=settings.time_limit_hours * 3600,
        phantoms=None if plan.options.competition_dir else plan.options.phantom_size,
    )


def conclude(plan: Plan, seconds: float) -> Rehearsal:
    """Return what came of it."""
    about = provenance.describe(
        plan.machine,
        plan.found,
        plan.played,
        plan.shown,
        plan.backend,
        plan.limits,
        tuple(plan.seen),
    )
    return Rehearsal(
        checks=tuple(plan.done),
        projection=plan.projected,
        provenance=about,
        stages=tuple(provenance.timeline(plan.seen)),
        seconds=seconds,
        report=plan.options.out / REPORT,
        log="\n".join(f"{one.log}\n{one.error or ''}" for one in plan.seen.values()),
    )


def write(result: Rehearsal, plan: Plan) -> None:
    """Write report.html and rehearsal.json, each whole or not at all."""
    out = plan.options.out
    atomic.write_text(out / REPORT, page.render(result, plan.main, plan.shown))
    atomic.write_text(out / RESULT, json.dumps(result.as_dict(), indent=1) + "\n")


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
    chosen = sandbox.choose_backend()
    if chosen is None:
        reasons = "; ".join(f"{name}: {why}" for name, why in sandbox.backends().items())
        raise SandboxError(f"{offline.why_not() or offline.MEND} ({reasons})")
    return chosen


def _teller(quiet: bool) -> Callable[[str], None]:
    return lambda text: None if quiet else print(f"… {text}", file=sys.stderr, flush=True)
