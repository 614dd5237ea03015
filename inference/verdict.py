"""Whether what was predicted is a submission: the failure rule, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.deadline import Deadline
from inference.errors import OutOfTimeError, RunError, TooManyFailuresError
from inference.outcome import Outcome
from inference.output import COMPLETE, FALLBACKS, PARTIAL
from inference.submission import TestImage

NAMED = 20  # images that a message lists


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How much may fail: a share of the images, or of the breasts without a prediction.

    On a competition's rerun a run that ended early, or that has seen suspicious pictures, is still
    a submission: a cell that raises loses it, and its log cannot be read.
    """

    most: float
    by_breast: bool
    rerun: bool
    advice: str  # how to allow more


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the submission holds; `reason` is why it is none, `warnings` what went wrong."""

    state: str
    reason: BaseException | None
    warnings: tuple[str, ...]


def judge(
    images: Sequence[TestImage],
    outcome: Outcome,
    fallbacks: Sequence[str],
    rule: Rule,
    deadline: Deadline,
) -> Verdict:
    """Say what was predicted, and whether that is enough; `fallbacks` are breasts without any."""
    breasts = len({image.prediction_id for image in images})
    warnings = tuple(_warnings(images, outcome, deadline))
    reason: BaseException | None
    if len(fallbacks) == breasts:
        state = FALLBACKS
        reason = outcome.error or _too_much("No breast has a prediction", outcome, warnings)
    else:
        state = PARTIAL if outcome.skipped or outcome.error else COMPLETE
        reason = _reason(outcome, len(fallbacks), breasts, rule, deadline, warnings)
    return Verdict(state=state, reason=reason, warnings=warnings)


def _reason(
    outcome: Outcome,
    fallbacks: int,
    breasts: int,
    rule: Rule,
    deadline: Deadline,
    warnings: Sequence[str],
) -> BaseException | None:
    """Return why this is no submission; None where it is one."""
    if outcome.error and not rule.rerun:
        return outcome.error
    broken = [error for error in outcome.failures.values() if error.kind == "not-a-number"]
    if broken and not rule.rerun:
        return RunError(f"{broken[0]} The model is broken: export it again.")
    if outcome.skipped and not outcome.error and deadline.at == "stop":
        return OutOfTimeError(
            f"{warnings[-1]}. Use a smaller preset or model, or finish with what there is: "
            "--at-deadline coarse."
        )
    if rule.by_breast:
        failed, total, unit = fallbacks, breasts, "breasts have no prediction of their own"
    else:
        failed, total, unit = _failed(outcome, rule), outcome.total, "images failed"
    if failed <= rule.most * total:
        return None
    text = f"{failed} of {total} {unit}: that is more than {rule.most:.1%}"
    return outcome.error or _too_much(f"{text}. {rule.advice}", outcome, warnings)


def _failed(outcome: Outcome, rule: Rule) -> int:
    """Return how many images count as failed: those left out, too, and those not to be trusted."""
    doubtful = 0 if rule.rerun else len(outcome.suspicious)
    return len(outcome.failures) + len(outcome.skipped) + doubtful


def _too_much(text: str, outcome: Outcome, warnings: Sequence[str]) -> RunError:
    late = len(outcome.skipped) > len(outcome.failures)
    kind = OutOfTimeError if late else TooManyFailuresError
    return kind("\n".join([*warnings, text]))


def _warnings(images: Sequence[TestImage], outcome: Outcome, deadline: Deadline) -> list[str]:
    """Return what went wrong, with the first images by name; what was left out comes last."""
    failures = [
        f"{images[key].image_id} ({error.kind}): {error}"
        for key, error in sorted(outcome.failures.items())
    ]
    doubts = [
        f"{images[key].image_id}: {', '.join(signs)}"
        for key, signs in sorted(outcome.suspicious.items())
    ]
    warnings = []
    if failures:
        warnings.append(_listed(f"of {outcome.total} images could not be read", failures))
    if doubts:
        warnings.append(_listed(f"of {outcome.total} images may be damaged", doubts))
    if outcome.skipped:
        names = [images[key].image_id for key in outcome.skipped]
        listed = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
        over = deadline.limit is not None and not outcome.error
        cause = f"The limit of {deadline.limit:.0f} s is over" if over else "The run ended early"
        warnings.append(f"{cause} with {len(names)} of {outcome.total} images to do ({listed})")
    return warnings


def _listed(text: str, lines: Sequence[str]) -> str:
    shown = "".join(f"\n  {line}" for line in lines[:NAMED])
    more = f"\n  and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    return f"{len(lines)} {text}:{shown}{more}"
