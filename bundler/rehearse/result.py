"""What came of a rehearsal, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bundler.competition.check import Check, Status
from bundler.competition.protocol import Curve, Distribution, HiddenTest, Picture
from bundler.image.emulation import EmulatedImage
from bundler.rehearse.checks import first_day
from bundler.rehearse.checks.outlook import Outlook
from bundler.rehearse.checks.projection import Projection
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.report import provenance, timeline
from bundler.rehearse.report.provenance import Provenance
from bundler.rehearse.report.timeline import Step
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.result import Json

FORMAT = 2
REPORT = "report.html"
MARKS = {"passed": "ok", "failed": "FAILED", "unproven": "unproven"}
ORDER: tuple[Status, ...] = ("failed", "unproven", "passed")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What running the notebook showed; little where it was not run."""

    checks: tuple[Check, ...]
    image: EmulatedImage | None = None
    hidden: HiddenTest | None = None
    runs: tuple[NotebookRun, ...] = ()
    distribution: Distribution | None = None
    curves: tuple[Curve, ...] = ()
    pictures: tuple[Picture, ...] = ()
    outlook: Outlook | None = None


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was rehearsed, and what came of it."""

    checks: tuple[Check, ...]  # what must be fixed comes first
    outlook: Outlook | None
    provenance: Provenance
    timeline: tuple[Step, ...]
    seconds: float
    report: Path
    curves: tuple[Curve, ...] = ()
    log: str = ""

    @property
    def projection(self) -> Projection | None:
        """Return how long the hidden test will take; None where nothing was fitted."""
        return self.outlook.projection if self.outlook else None

    @property
    def passed(self) -> bool:
        """Say whether no check failed."""
        return not any(check.status == "failed" for check in self.checks)

    @property
    def verdict(self) -> Status:
        """Return the worst status of all checks: "unproven" passes, but is not green."""
        return min((check.status for check in self.checks), key=ORDER.index, default="passed")

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return {
            "format": FORMAT,
            "passed": self.passed,
            "checks": [check.as_dict() for check in self.checks],
            "projection": self.projection.as_dict() if self.projection else None,
            "quantities": self.outlook.as_dict() if self.outlook else [],
            "provenance": asdict(self.provenance),
            "timeline": [asdict(step) for step in self.timeline],
            "curves": [asdict(curve) for curve in self.curves],
            "seconds": round(self.seconds, 2),
            "report": str(self.report),
        }

    def summary(self) -> str:
        """Return the verdict first, then the checks, then where the report lies."""
        failed = [check.name for check in self.checks if check.status == "failed"]
        head = f"The rehearsal FAILED: {', '.join(failed)}" if failed else "The rehearsal passed"
        if self.verdict == "unproven":
            names = [check.name for check in self.checks if check.status == "unproven"]
            head += f"; not known: {', '.join(dict.fromkeys(names))}"
        lines = [f"{head}  ({self.seconds:.0f} s)"]
        width = max((len(check.name) for check in self.checks), default=0)
        for check in self.checks:
            first, *rest = check.message.splitlines() or [""]
            lines.append(f"  {MARKS[check.status]:8}  {check.name:{width}}  {first}")
            lines += [f"{'':{width + 14}}{line}" for line in rest if check.status != "passed"]
        lines += [f"  note      {note}" for note in self.provenance.notes]
        return "\n".join([*lines, f"  {self.report}"])


def conclude(
    inputs: Inputs, preflight: Sequence[Check], findings: Findings, seconds: float
) -> Rehearsal:
    """Return what came of a rehearsal that took so many seconds."""
    runs, options = findings.runs, inputs.options
    known = [*preflight, *findings.checks]
    checks = first_day.judged(known, inputs.bundles["code"], options.settings)
    small = next((run for run in runs if run.kind == "small"), None)
    return Rehearsal(
        checks=tuple(sorted(checks, key=lambda check: ORDER.index(check.status))),
        outlook=findings.outlook,
        provenance=provenance.describe(
            inputs,
            list(dict.fromkeys(run.layout for run in runs)),
            findings.image,
            findings.hidden,
            working=runs[0].working if runs else None,
        ),
        timeline=tuple(timeline.draw(small)) if small else (),
        seconds=seconds,
        report=inputs.options.out / REPORT,
        curves=findings.curves,
        log="\n".join(f"{run.log}\n{run.error or ''}" for run in runs),
    )
