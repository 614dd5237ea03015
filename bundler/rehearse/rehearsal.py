"""The flow of a rehearsal: preflight → hidden test → run → check → compare → project → report."""

import time
from collections.abc import Sequence
from pathlib import Path

from bundler.competition.check import Check
from bundler.competition.choose import choose
from bundler.competition.protocol import ComparisonResult, Competition
from bundler.errors import BundlerError, UsageError
from bundler.rehearse import inputs as rehearsed
from bundler.rehearse import lock, result
from bundler.rehearse.checks import preflight, projection, run_checks
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.options import LAYOUTS, RehearseOptions
from bundler.rehearse.report import files
from bundler.rehearse.result import Findings, Rehearsal
from bundler.rehearse.run import image, notebook_run, setup

NOT_RUN = Check(
    name="notebook ran",
    status="unproven",
    message="Not run: what failed above would make it fail at once.",
)


def run(options: RehearseOptions) -> Rehearsal:
    """Rehearse, write the report, and return what came of it. Raises BundlerError."""
    competition = choose(
        options.settings,
        folder=options.competition_dir,
        phantom_size=options.phantom_size,
    )
    if not options.layouts or set(options.layouts) - set(LAYOUTS):
        raise UsageError(f"Unknown layout. Choose from {', '.join(LAYOUTS)}.")
    competition.validate(options.units)
    try:
        with (
            lock.only_one(options.out),
            lock.ended_by_signals(),
            lock.work_folder(options.out) as folder,
        ):
            return rehearse(options, competition, folder)
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        raise BundlerError(
            f"The rehearsal cannot go on: {path}{error.strerror or error}. Nothing was left "
            "running. Fix the disk or the permissions, and rehearse again."
        ) from error


def rehearse(options: RehearseOptions, competition: Competition, folder: Path) -> Rehearsal:
    """Do all steps in order; what they need beside their input lies in the empty `folder`."""
    start = time.monotonic()
    options.progress.step("Checking bundles, notebook and target")
    inputs = rehearsed.read(options)
    checks = preflight.check(inputs)
    if any(check.status == "failed" and check.name in preflight.FATAL for check in checks):
        findings = Findings(checks=(NOT_RUN,))
    else:
        findings = run_notebook(inputs, competition, folder)
    rehearsal = result.conclude(inputs, checks, findings, time.monotonic() - start)
    files.write(rehearsal, findings)
    return rehearsal


def run_notebook(inputs: Inputs, competition: Competition, folder: Path) -> Findings:
    """Run the notebook on a hidden test in each layout, and judge what it predicted."""
    progress = inputs.options.progress
    progress.step("Emulating the notebook's image")
    prepared = image.prepare(inputs, folder / "substitute")
    progress.step("Writing the hidden test set")
    hidden = competition.write(folder / "hidden", inputs.options.units)
    setups = setup.make(inputs, prepared, hidden, folder)
    runs = notebook_run.run_each(setups, progress)
    checked = run_checks.check(runs, setups, prepared.ids)
    comparison, projected = ComparisonResult(checks=()), None
    compared: Sequence[Check] = ()
    if runs[0].returncode == 0:
        progress.step("Comparing predictions, projecting time, memory and disk")
        comparison = hidden.compare(runs[0].output, inputs.bundles.get("model"))
        others = [
            (setup.hidden, other.output)
            for setup, other in zip(setups[1:], runs[1:], strict=False)
            if other.returncode == 0
        ]
        compared = hidden.compare_runs(runs[0].output, others)
        projected = projection.project(runs[0], comparison.measurement, inputs)
    fits = projected.checks() if projected else ()
    return Findings(
        checks=(*prepared.checks, *checked.checks, *comparison.checks, *compared, *fits),
        image=prepared.image,
        hidden=hidden,
        runs=runs,
        distribution=checked.distribution,
        pictures=comparison.pictures,
        projection=projected,
    )
