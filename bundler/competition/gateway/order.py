"""Do a server's answers depend on the order of its calls? What a second pass shows of it."""

from collections.abc import Sequence
from dataclasses import replace

from bundler.competition.check import Check
from bundler.competition.parity import ORDER, TWINS

SETTING = "`ordered = true` in [tool.rsna-bundle.gateway]"
NOT_TRIED = Check(
    name=ORDER,
    status="unproven",
    message=f"Not tried: {SETTING} says that each call depends on those before it, so the second "
    "pass keeps the gateway's own order. Take it out where calls stand alone.",
)
HINT = (
    "If each call is meant to depend on those before it, as in a time series, set "
    f"{SETTING}; the second pass then keeps the gateway's order."
)


def judged(
    checks: Sequence[Check], first: Sequence[str], others: Sequence[Sequence[str]]
) -> list[Check]:
    """Return the checks of two passes, with what the order of their calls makes of each.

    `first` and `others` are the row ids of each pass in the order of its calls.
    """
    return [_judged(check, first, others) for check in checks]


def _judged(check: Check, first: Sequence[str], others: Sequence[Sequence[str]]) -> Check:
    if check.name not in (ORDER, TWINS):
        return check
    if check.status == "failed":
        return replace(check, message=f"{check.message}\n{HINT}")
    if check.name != ORDER or check.status != "passed" or not first:
        return check
    if any(_differs(first, other) for other in others):
        message = check.message.replace("in another order", "in another order of the calls")
        return replace(check, message=message)
    # Answers to calls in the same order prove nothing of another one.
    message = "The gateway made its calls in the same order both times, so nothing is known."
    return replace(check, status="unproven", message=message)


def _differs(first: Sequence[str], other: Sequence[str]) -> bool:
    """Say whether two passes had the rows that they share in different orders."""
    shared = set(first) & set(other)
    return [name for name in first if name in shared] != [name for name in other if name in shared]
