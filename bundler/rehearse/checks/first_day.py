"""A submission that `init` wrote and nobody has changed yet is valid, and known to be no answer."""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from bundler.competition import skeleton
from bundler.competition.check import Check
from bundler.rehearse.checks import tree
from bundler.settings import Settings
from inference.boot.bundle import Bundle

CONSTANT = "constant"  # the check of equal answers, in a layout or other of that name


def judged(checks: Sequence[Check], code: Bundle, settings: Settings) -> list[Check]:
    """Return the checks, where equal answers to all rows are no failure of an untouched skeleton.

    Of any other code they are: a model that answers the same to all is broken.
    """
    named = [check for check in checks if check.name.partition(" (")[0] == CONSTANT]
    equal = [check for check in named if check.status != "passed"]
    advice = _advice(code, settings) if equal else ""
    if not advice:
        return list(checks)
    message = (
        "Every row has the same answer, since the command is still as `init` wrote it. "
        f"{advice} by your model's answers, commit, and rehearse again."
    )
    remark = replace(equal[0], status="unproven", message=message)
    # Once: the runs on other rows would repeat it.
    return [remark if check is equal[0] else check for check in checks if check not in equal[1:]]


def _advice(code: Bundle, settings: Settings) -> str:
    """Return what the script of the command asks to be replaced; "" where it is the user's own."""
    script = next((word for word in shlex.split(settings.run or "") if word.endswith(".py")), "")
    return skeleton.what_to_replace(tree.read(code).get(script.removeprefix("./"), ""))
