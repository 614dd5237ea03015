"""What a rehearsal checks of any run, whatever the competition: its end, what it tried, its ids."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.competition.check import Check, verdict
from bundler.competition.protocol import Curve, Distribution
from bundler.competition.table import SUFFIXES, open_table
from bundler.errors import InputError
from bundler.rehearse.checks import causes, missing, network, system
from bundler.rehearse.checks.missing import Surroundings
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.setup import RunSetup
from bundler.rehearse.run.stalls import Stall
from inference.boot import bundle as reader

PUBLIC = "public test"
LAST = 12  # lines of the log that a message repeats


@dataclass(frozen=True, kw_only=True)
class CheckedRuns:
    """What the checks of all runs say."""

    checks: tuple[Check, ...]
    distribution: Distribution | None  # of the small hidden test's predictions
    curves: tuple[Curve, ...] = ()  # of the run that has most steps


def check(
    runs: Sequence[NotebookRun], setups: Sequence[RunSetup], ids: Mapping[str, str]
) -> CheckedRuns:
    """Check each run; `ids` are those of the bundles that each should have used.

    Of runs on other than the small hidden test, only what fails is reported, and that the notebook
    ran and wrote a submission.
    """
    checks: list[Check] = []
    distribution, labels = None, list[str]()
    curves: tuple[Curve, ...] = ()
    pairs = zip(runs, setups, strict=True)
    for run, setup in sorted(pairs, key=lambda pair: pair[0].kind != "small"):
        own = _general(run, setup)
        # A notebook that failed before it wrote anything: more checks would only repeat it.
        if own[0].status != "failed" or _wrote(run, setup):
            submitted = setup.hidden.check(run.output)
            own += [*submitted.checks, provenance(run, ids)]
            distribution = distribution or submitted.distribution
            curves = max(curves, submitted.curves, key=_steps)
        if run.kind != "small":
            label = PUBLIC if run.kind == "public" else run.layout
            labels.append(f"{label}, {run.size}" if label in labels else label)
            own = _worth_repeating(own, setup, labels[-1])
        checks += own
    return CheckedRuns(checks=tuple(checks), distribution=distribution, curves=curves)


def _steps(curves: Sequence[Curve]) -> int:
    return max((len(curve.values) for curve in curves), default=0)


def _wrote(run: NotebookRun, setup: RunSetup) -> bool:
    return bool(run.output.report) or (run.output.working / setup.hidden.submission).is_file()


def _worth_repeating(checks: Sequence[Check], setup: RunSetup, label: str) -> list[Check]:
    """Return the checks of another run that say more than those of the small hidden test."""
    always = ("notebook ran", setup.hidden.submission)
    return [
        replace(check, name=f"{check.name} ({label})")
        for check in checks
        if check.status == "failed" or check.name in always
    ]


def _general(run: NotebookRun, setup: RunSetup) -> list[Check]:
    """Return whether the notebook came to its end, and tried nothing that fails on Kaggle."""
    end = list(_end(run, setup))
    written = list(network.written(run))
    return [
        verdict("notebook ran", end, f"finished in {run.seconds:.1f} s"),
        network.check(run),
        verdict("writes", written, "only in /kaggle/working, the temporary folder and HOME"),
        *([system.check(run)] if end == [] else []),
    ]


def provenance(run: NotebookRun, expected: Mapping[str, str]) -> Check:
    """Return whether the run says that it used the expected bundles."""
    if not run.ids:
        message = "The run wrote no run.json, so it is not known which bundles were used."
        return Check(name="provenance", status="failed", message=message)
    problems = [
        f"The run used the {kind} bundle {run.ids.get(kind, 'none')[:12]}, not {ours[:12]}."
        for kind, ours in expected.items()
        if run.ids.get(kind) != ours
    ]
    return verdict("provenance", problems, "the run used these bundles")


def _end(run: NotebookRun, setup: RunSetup) -> Iterator[str]:
    limits, usage = setup.limits, run.usage
    if usage.killed == "time":
        yield (
            f"Out of time: it ran for more than {limits.seconds:.0f} s and was ended (Notebook "
            "Timeout on Kaggle). Use a smaller preset or model, or find what it waits for."
        )
    if usage.stall:
        yield _stalled(usage.stall, setup.hidden.submission)
        return
    if usage.killed == "memory":
        yield (
            f"Out of memory: it used {usage.peak_bytes / 1e9:.2f} GB of "
            f"{limits.memory_bytes / 1e9:.2f} GB, and its largest process was killed (Notebook "
            "Exceeded Allowed Compute on Kaggle). Use fewer --workers or smaller batches."
        )
    if run.full:
        yield (
            f"Out of disk: it wrote {run.working_peak / 1e9:.2f} GB to /kaggle/working, which "
            f"holds {limits.working_bytes / 1e9:.2f} GB, and was ended (on Kaggle, a write fails: "
            "No space left on device). Write what is temporary to /tmp."
        )
        return
    if run.returncode == 0 or (run.returncode is None and usage.killed):
        return
    tail = "\n".join(f"  {line}" for line in run.log.strip().splitlines()[-LAST:])
    output = f"{run.log}\n{run.error or ''}"
    cause = causes.explain(output, _surroundings(setup))
    last = (run.error or "it printed nothing").strip().splitlines()[-1]
    planted = _planted(setup, output) or ("" if cause else _perhaps_planted(setup))
    before = "".join(f"{line}\n" for line in (cause, planted) if line)
    yield f"{before}A cell failed: {last[:500]}\n{tail}"


def _stalled(stall: Stall, submission: str) -> str:
    """Say what a run waited for that did nothing more."""
    minutes = f"{stall.seconds / 60:.1f} min"
    if stall.ending:
        cause = (
            f"{submission} had been complete for {minutes}, and the command did not end: Python "
            "waits for a thread. Make it a daemon, or stop it"
        )
    elif stall.submission:
        cause = (
            f"Nothing used a CPU, read or wrote for {minutes}, although {submission} had been "
            "written: end the process or the thread that waits"
        )
    else:
        cause = f"Nothing used a CPU, read or wrote for {minutes}: find what it waits for"
    return (
        f"Stalled: {cause} (Notebook Timeout on Kaggle). It was ended. Where each thread stood, "
        f"the innermost call first:\n{stall.stacks}"
    )


def _planted(setup: RunSetup, output: str) -> str:
    """Say which planted row or file an output names, if any: it is awkward by intention."""
    for planted in setup.hidden.planted:
        # As a word: the id 12 is not named by every number that has a 12 in it.
        if re.search(rf"(?<![0-9A-Za-z]){re.escape(planted.name)}(?![0-9A-Za-z])", output):
            return f"{planted.name} was planted: {planted.case}. {planted.advice}".strip()
    return ""


def _perhaps_planted(setup: RunSetup) -> str:
    """Say what was planted, where an error that nothing explains names none of it.

    An empty file ends many a reader with an error that says no more than that.
    """
    first: dict[str, str] = {}
    for planted in setup.hidden.planted:
        first.setdefault(planted.case, planted.name)
    cases = ", ".join(f"{case} ({name})" for case, name in first.items())
    return f"If a row is the cause, it may be one that was planted: {cases}." if cases else ""


def _surroundings(setup: RunSetup) -> Surroundings:
    """Return what the notebook did find: files of the code, tables, folders of the input."""
    members = [
        member.name.partition("/")[2]  # in the folder of its archive
        for file in reader.read(setup.datasets["code"]).files
        for member in file.members
    ]
    files = sorted(setup.hidden.folder.iterdir())
    return Surroundings(
        working=f"{setup.limits.working_bytes / 1e9:.2f} GB",
        tree=tuple(members),
        files=tuple(path.name for path in files),
        columns=dict(_tables(files)),
        mounts=tuple(path for path in setup.sandbox.read_only if path.startswith(missing.INPUT)),
    )


def _tables(files: Sequence[Path]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield name and columns of each test table; a sample of the submission has the labels' too."""
    for path in files:
        if path.suffix in SUFFIXES and "submission" not in path.name.lower():
            # A hook of the user's may have written what is no table.
            with contextlib.suppress(InputError):
                yield path.name, open_table(path).columns
