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


def strongest(checks: Sequence[Check]) -> list[Check]:
    """Return one check of each name: one that failed first, then one that passed.

    So several runs that were compared in the same way count once: one failure is one too many, and
    what one run has shown need not be shown by all.
    """
    order: Sequence[Status] = ("failed", "passed", "unproven")
    best: dict[str, Check] = {}
    for check in checks:
        known = best.setdefault(check.name, check)
        if order.index(check.status) < order.index(known.status):
            best[check.name] = check
    return list(best.values())


def listed(values: Sequence[str], most: int = 60) -> str:
    """Return values separated by commas, each whole, in about `most` characters.

    Those that are left out are counted; of a long text, such as a mask, its beginning stands.
    """
    shown: list[str] = []
    for value in values:
        head = value[: most - 1]  # of a text with spaces, whole words of it
        short = value if len(value) <= most else f"{head.rpartition(' ')[0] or head} …"
        if shown and sum(map(len, shown)) + len(short) > most:
            return f"{', '.join(shown)} and {len(values) - len(shown)} more"
        shown.append(short)
    return ", ".join(shown)
