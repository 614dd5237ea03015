"""What one should know before trusting a model's scores, as far as its card tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from bundler.errors import CheckError
from inference.boot.card import Card, Curve

NATURAL = (0.015, 0.027)  # prevalence of cancer among breasts: 2.06 % in the competition
# Breasts with cancer. F1 of 50 has a standard error of about 0.07, of 10 of about 0.15.
FEW_POSITIVES = 50
TOO_FEW_POSITIVES = 10
RATIO = 1.3  # between two prevalences: less is chance or another way to count
DEVIATIONS = 3  # of a binomial share


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What makes a model's scores less than they seem; `serious` where it does for certain."""

    text: str
    serious: bool = False


def remarks(card: Card) -> list[Remark]:
    """Return the remarks on a card, those of the export first."""
    notes = [Remark(text=text, serious=True) for text in card.warnings]
    for one in card.checkpoints:
        if not NATURAL[0] <= one.prevalence <= NATURAL[1]:
            text = (
                f"{one.name} was validated at a prevalence of {one.prevalence:.2%}; naturally it "
                "is 2 %. Its scores cannot be compared with the leaderboard's, and a threshold "
                "chosen on that validation set is wrong for the test set."
            )
            notes.append(Remark(text=text, serious=True))
        if one.metrics and one.metrics_per is None:
            text = f"{one.name} does not say whether its metrics are per breast or per image."
            notes.append(Remark(text=text))
        if one.dirty:
            notes.append(Remark(text=f"{one.name} was trained with uncommitted changes."))
    if card.out_of_fold and card.out_of_fold.curves:
        notes += _of_rows(card, card.out_of_fold.curves[0])
    return notes


def refuse(card: Card, name: str) -> None:
    """Raise CheckError with all serious remarks on a card, where there are any."""
    serious = [remark.text for remark in remarks(card) if remark.serious]
    if serious:
        listed = "\n".join(f"- {text}" for text in serious)
        raise CheckError(
            f"--strict refuses {name}, for these warnings. Nothing was written.\n{listed}"
        )


def _of_rows(card: Card, curve: Curve) -> Iterator[Remark]:
    """Yield what the out-of-fold rows' own prevalence and number of positives mean."""
    share = curve.positives / curve.breasts
    recorded = fmean(one.prevalence for one in card.checkpoints)
    if _is_apart(share, recorded, curve.breasts):
        text = (
            f"the out-of-fold rows have a prevalence of {share:.2%}, but the model's validation "
            f"set is recorded (--prevalence) with {recorded:.2%}: the rows are of another set, or "
            "only a part of it."
        )
        yield Remark(text=text, serious=True)
    outside = not NATURAL[0] <= share <= NATURAL[1]
    if outside and all(_is_apart(share, edge, curve.breasts) for edge in NATURAL):
        text = (
            f"the out-of-fold rows have a prevalence of {share:.2%} ({curve.positives} of "
            f"{curve.breasts} breasts); the competition's is 2 %. A threshold and an F1 of such "
            "rows do not hold for its test set: give all rows of the validation folds."
        )
        yield Remark(text=text, serious=True)
    if curve.positives < FEW_POSITIVES:
        text = (
            f"the out-of-fold rows have only {curve.positives} breasts with cancer: the threshold "
            f"follows single cases, and its pF1 may be {curve.low:.2f} as well as {curve.high:.2f}."
        )
        yield Remark(text=text, serious=curve.positives < TOO_FEW_POSITIVES)


def _is_apart(share: float, other: float, count: int) -> bool:
    """Say whether a share of `count` breasts differs from another by more than chance."""
    low, high = sorted((share, other))
    chance = DEVIATIONS * (other * (1 - other) / count) ** 0.5
    return high - low > chance and high > RATIO * low
