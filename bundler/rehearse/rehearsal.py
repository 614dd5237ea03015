"""The flow of a rehearsal: preflight → runs → checks → comparison → outlook → report.

The middle of it, in five files: `plan` says which runs there are, `run.notebook_run` makes each,
`run.sampling` sees what it uses, `fit` fits that over the sizes, `checks.outlook` judges the fits.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from bundler.competition.check import Check
from bundler.competition.choose import choose
from bundler.competition.protocol import ComparisonResult, Competition, HiddenTest
from bundler.errors import BundlerError, UsageError
from bundler.rehearse import inputs as rehearsed
from bundler.rehearse import lock, result
from bundler.rehearse.checks import outlook as outlooks
from bundler.rehearse.checks import preflight, run_checks
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.options import LAYOUTS, RehearseOptions
from bundler.rehearse.plan import Plan
from bundler.rehearse.report import files
from bundler.rehearse.result import Findings, Rehearsal
from bundler.rehearse.run import image, notebook_run
from bundler.rehearse.run import setup as run_setup
from bundler.rehearse.run.image import Prepared
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.setup import RunSetup

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
    """Run the notebook on hidden tests as the plan says, and judge what it predicted."""
    progress = inputs.options.progress
    progress.step("Emulating the notebook's image")
    prepared = image.prepare(inputs, folder / "substitute")
    setups, runs = run_all(inputs, prepared, competition, folder)
    checked = run_checks.check(runs, setups, prepared.ids)
    at = next(number for number, run in enumerate(runs) if run.kind == "small")
    hidden, small = setups[at].hidden, runs[at]
    comparison = ComparisonResult(checks=())
    compared: Sequence[Check] = ()
    if small.returncode == 0:
        progress.step("Comparing predictions, projecting time, memory and disk")
        model = inputs.bundles.get("model")
        comparison = hidden.compare(small.output, model)
        others = [
            (setup.hidden, other.output)
            for setup, other in zip(setups, runs, strict=True)
            if other.returncode == 0 and other.kind == "grown"
        ]
        compared = hidden.compare_runs(small.output, others, model)
    outlook = outlooks.look(runs, comparison.measurement, competition.rows, inputs)
    return Findings(
        checks=(*prepared.checks, *checked.checks, *comparison.checks, *compared, *outlook.checks),
        image=prepared.image,
        hidden=hidden,
        runs=runs,
        distribution=checked.distribution,
        curves=checked.curves,
        pictures=comparison.pictures,
        outlook=outlook,
    )


def run_all(
    inputs: Inputs, prepared: Prepared, competition: Competition, folder: Path
) -> tuple[tuple[RunSetup, ...], tuple[NotebookRun, ...]]:
    """Make one run after the other, each as large as those before it suggest."""
    options, public = inputs.options, competition.public()
    plan = Plan(
        layouts=options.layouts,
        budget=options.budget,
        quick=options.quick,
        units=options.units,
        hidden_units=options.settings.hidden_units,
        limit_seconds=inputs.limits.seconds,
        limits=outlooks.limits_of(inputs),
        public=public is not None,
    )
    hidden: dict[str, HiddenTest] = {"public": public} if public else {}
    setups: list[RunSetup] = []
    runs: list[NotebookRun] = []
    while (wanted := plan.following(runs)) is not None:
        # The tests lie beside the runs, not in them: a gateway, which may mount, could otherwise
        # write to a run's inputs, and these are links to the user's own files.
        own, tests = folder / f"run-{len(runs)}", folder / f"hidden-{len(runs)}"
        if wanted.kind != "public":
            options.progress.step("Writing the hidden test set")
        if wanted.kind == "small":
            hidden["small"] = competition.write(tests, wanted.size)
        elif wanted.kind == "grown":
            hidden["grown"] = hidden["small"].second(tests, wanted.size)
        test, kind, layout = hidden[wanted.kind], wanted.kind, wanted.layout
        # Only the runner in the box knows them: it is told by its report.
        boxed = bool(runs) and runs[-1].output.report is not None
        variables = test.variables(inputs.bundles.get("model") if boxed else None)
        setup = run_setup.make(
            inputs, prepared, test, own, kind=kind, layout=layout, variables=variables
        )
        options.progress.step(f"Running the notebook, network cut, {setup.title}")
        setups.append(setup)
        runs.append(notebook_run.run(setup))
    return tuple(setups), tuple(runs)
