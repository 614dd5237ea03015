"""A check: one condition of a submission, whether it holds, and what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "unproven"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One condition: whether it holds, and a message that says what was seen and what to do."""

    name: str
    status: Status
    message: str

    def as_dict(self) -> dict[str, str]:
        """Return what the JSON holds."""
        return {"name": self.name, "status": self.status, "message": self.message}


def verdict(name: str, problems: Sequence[str], fine: str) -> Check:
    """Return a check that failed if there are problems, with one line for each of them."""
    if problems:
        return Check(name=name, status="failed", message="\n".join(problems))
    return Check(name=name, status="passed", message=fine)
