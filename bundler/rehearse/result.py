"""What came of a rehearsal, for people and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.rehearse.checks import checks
from bundler.rehearse.checks.checks import Check
from bundler.rehearse.checks.projection import Projection

FORMAT = 1
MARKS = {"passed": "ok", "failed": "FAILED", "unproven": "unproven"}


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
        width = max((len(check.name) for check in self.checks), default=0)
        for check in checks.ordered(self.checks):
            first, *rest = check.said.splitlines() or [""]
            lines.append(f"  {MARKS[check.status]:8}  {check.name:{width}}  {first}")
            lines += [f"{'':{width + 14}}{line}" for line in rest if check.status != "passed"]
        lines += [f"  note      {note}" for note in self.provenance["notes"]]
        return "\n".join([*lines, f"  {self.report}"])
