"""What the field learned of single packages, as constraints with their reasons."""

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.errors import InputError
from bundler.image.target import Target


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One package that is held back on some targets."""

    constraint: Requirement
    newest: str  # a version that is right, to see whether a user excludes all of them
    first_wrong: str
    reason: str

    def applies(self, target: Target) -> bool:
        """Say whether the target is one of those."""
        return (target.cuda or "").startswith("12.")


RULES = (
    Rule(
        constraint=Requirement("onnxruntime-gpu<1.27"),
        newest="1.26.0",
        first_wrong="1.27.0",
        reason="from 1.27 on it is built for CUDA 13, and on an image with CUDA {cuda} it falls "
        "back to the CPU without a word",
    ),
)


def constraints(target: Target) -> list[str]:
    """Return the constraints that hold for a target."""
    return [str(rule.constraint) for rule in RULES if rule.applies(target)]


def notes(target: Target, wanted: tuple[Requirement, ...]) -> Iterator[str]:
    """Yield what was held back and why. Raises InputError where a user allows nothing else."""
    for rule in RULES:
        name = canonicalize_name(rule.constraint.name)
        for need in wanted:
            if canonicalize_name(need.name) != name or not rule.applies(target):
                continue
            reason = rule.reason.format(cuda=target.cuda)
            older = Requirement(f"{name}{need.specifier}")
            if need.specifier.contains(rule.first_wrong) and not _allows_older(older, rule):
                raise InputError(
                    f"{need} cannot be used on {target.name}: {reason}. Require "
                    f"`{rule.constraint}`, or choose a target with CUDA 13."
                )
            if need.specifier.contains(rule.first_wrong):
                yield f"{rule.constraint} is enforced: {reason}."


def _allows_older(need: Requirement, rule: Rule) -> bool:
    return need.specifier.contains(rule.newest)
