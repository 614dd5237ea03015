"""All runs together: did each image's probability reach the breast it belongs to?

Where decisions are 0 for nearly every breast, answers that went to other breasts look like the
right ones. So what is compared is told apart first: by the probability of each image, which the
runner writes before any decision, and by a run whose threshold lies in the middle of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bundler.competition.check import Check, verdict
from bundler.competition.parity import CHANCE, chance
from bundler.competition.run_report import RunReport
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.image_csv import Images
from bundler.competition.screening.parity import TOLERANCE, compare_images
from bundler.competition.screening.submission_csv import some
from inference import submission
from inference.boot.card import Card
from inference.submission import TestImage

ROUNDING = 1e-9  # of a probability that is written, read, and averaged again
SIDES = {"L": "R", "R": "L"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: what it was given, and what it says of its images and breasts."""

    hidden: HiddenSet
    report: RunReport
    images: Images | None
    submission: Mapping[str, float]  # prediction_id → what submission.csv says


def check(
    first: Run, others: Sequence[Run], card: Card, laptop: Mapping[str, float]
) -> tuple[Check, ...]:
    """Compare runs with each other, with the laptop's probabilities, and each with itself.

    `laptop`: image id → probability, of the images that every run has.
    """
    if any(run.images is None for run in (first, *others)):
        message = (
            "The run wrote no predictions.csv, so nothing tells which image's probability "
            "reached which breast. Bundle the code again with this version: `rsna-bundle code`."
        )
        return (Check(name="decisions", status="unproven", message=message),)
    checks = [_order(first, others, laptop)] if others else []
    return (*checks, _decisions([first, *others], card))


def threshold(breasts: Sequence[float]) -> float | None:
    """Return a threshold that about half of these probabilities reach, none of them close to it.

    None where they are so alike that there is no such thing.
    """
    values = sorted(breasts)
    # In the middle half the widest gap; of equally wide ones that in the very middle.
    half = len(values) / 2
    cuts = range(max(len(values) // 4, 1), len(values) - len(values) // 4)
    gaps = [(round(values[n] - values[n - 1], 3), -abs(n - half), n) for n in cuts]
    gap, _, at = max(gaps, default=(0.0, 0.0, 0))
    return None if gap <= 2 * TOLERANCE else (values[at - 1] + values[at]) / 2


def by_breast(hidden: HiddenSet, laptop: Mapping[str, float], aggregation: str) -> dict[str, float]:
    """Return the laptop's probability of each breast whose images are all compared."""
    images: dict[str, list[float]] = {}
    for row in hidden.compared:
        if row["image_id"] in laptop:
            images.setdefault(row["prediction_id"], []).append(laptop[row["image_id"]])
    join = submission.AGGREGATIONS[aggregation]
    return {breast: join(values) for breast, values in images.items()}


# --- the same images in another order, among others ---


def _order(first: Run, others: Sequence[Run], laptop: Mapping[str, float]) -> Check:
    name, own = "images in another order", first.images or {}
    problems: list[str] = []
    for run in others:
        images = run.images or {}
        problems += compare_images(images, laptop, "among more images")
        problems += _left_out(run)
        pairs = {image: (own[image], images[image]) for image in own if image in images}
        off = [image for image, (a, b) in pairs.items() if not abs(a - b) <= TOLERANCE]
        if off:
            a, b = pairs[off[0]]
            problems.append(
                f"{len(off)} of {len(pairs)} images get another probability in another order, "
                f"among others ({off[0]}: {a:.4f} and {b:.4f}): it depends on the images beside "
                "it, or on its place."
            )
    luck = _luck(list(laptop.values()))
    if not problems and luck > CHANCE:
        message = (
            f"The {len(laptop)} images that are compared get probabilities so alike that swapped "
            f"ones would pass by a chance of {luck:.0%}: the model hardly tells them apart. "
            "Rehearse with --competition-dir, on real images."
        )
        return Check(name=name, status="unproven", message=message)
    shared = len(own)
    fine = (
        f"{shared} images get the same probabilities, {len(laptop)} of them the laptop's "
        f"(a random permutation of these would pass by a chance of {luck:.1g})"
    )
    return verdict(name, problems, fine)


def _left_out(run: Run) -> Iterator[str]:
    """Name the images that have neither a prediction nor a reported failure."""
    images = run.images or {}
    gone = [
        row["image_id"]
        for row in run.hidden.rows
        if row["image_id"] not in images and row["image_id"] not in run.report.failures
    ]
    if gone:
        yield (
            f"{len(gone)} of {len(run.hidden.rows)} images have no prediction in the run, and no "
            f"failure is reported: {some(gone)}."
        )


# --- from images to breasts ---


def _decisions(runs: Sequence[Run], card: Card) -> Check:
    """Compare submission.csv with what the images' own probabilities amount to, breast by breast.

    The laptop's code decides once more, so that all breasts are compared, for no prediction.
    """
    problems: list[str] = []
    power: list[_Power] = []
    for run in runs:
        expected = _decide(run, card)
        problems += _left_out(run)
        problems += _misplaced(run, expected, card)
        power.append(_power(run, expected))
    best = min(power, key=lambda one: (not one.sides, one.luck))
    if problems or (best.luck <= CHANCE and best.sides):
        fine = (
            f"{best.breasts} breasts got what their own images say (a random permutation would "
            f"pass by a chance of {best.luck:.1g}; with left and right swapped, {best.sides} "
            "patients would differ)"
        )
        return verdict("decisions", list(dict.fromkeys(problems)), fine)
    blind = "left and right swapped" if best.luck <= CHANCE else "answers of other breasts"
    chance_text = "" if best.luck <= CHANCE else f", by a chance of {best.luck:.0%}"
    message = (
        f"{best.breasts} breasts got what their own images say, but so many the same that "
        f"{blind} would pass, too{chance_text}. Rehearse without --quick, or with more --patients."
    )
    return Check(name="decisions", status="unproven", message=message)


def _decide(run: Run, card: Card) -> Mapping[str, float]:
    """Return what the submission should say of each breast, by its images' probabilities."""
    images = run.images or {}
    rows = [
        TestImage(
            image_id=row["image_id"],
            patient_id=row["patient_id"],
            prediction_id=row["prediction_id"],
            path=run.hidden.path(row),
            columns=row,
        )
        for row in run.hidden.rows
    ]
    known = {n: images[row.image_id] for n, row in enumerate(rows) if row.image_id in images}
    doubtful = {n for n, row in enumerate(rows) if row.image_id in run.report.suspicious}
    breasts = submission.aggregate(rows, known, card.aggregation, doubtful)
    asked = run.report.threshold
    limit = card.threshold if asked is None else asked
    decided, _ = submission.decide(breasts, card.output, limit, card.prevalence)
    return decided


def _misplaced(run: Run, expected: Mapping[str, float], card: Card) -> Iterator[str]:
    written = {name: run.submission[name] for name in expected if name in run.submission}
    off = [name for name, value in written.items() if not abs(value - expected[name]) <= ROUNDING]
    if not off:
        return
    name = off[0]
    images = run.images or {}
    values = [
        images[r["image_id"]]
        for r in run.hidden.rows
        if r["prediction_id"] == name and r["image_id"] in images
    ]
    yield (
        f"submission.csv says {written[name]:g} of {name}, where its images "
        f"({', '.join(f'{value:.4f}' for value in values) or 'none'}) come to "
        f"{expected[name]:g}; {len(off)} of {len(written)} breasts differ."
    )
    same = Counter(written.values()) == Counter(expected[name] for name in written)
    if same and len(off) > 1:
        yield (
            "The same answers went to other breasts: they are joined by position, or to the other "
            "side, and not by prediction_id."
        )


# --- would it show? ---


@dataclass(frozen=True, kw_only=True)
class _Power:
    """How well a run's answers tell breasts apart."""

    breasts: int
    luck: float  # of a random permutation to look like the truth
    sides: int  # patients of whom left and right differ


def _power(run: Run, expected: Mapping[str, float]) -> _Power:
    side = {
        (row["patient_id"], row["laterality"]): expected[row["prediction_id"]]
        for row in run.hidden.rows
        if row["laterality"] in SIDES
    }
    differing = [
        patient
        for (patient, laterality), value in side.items()
        if laterality == "L" and abs(side.get((patient, "R"), value) - value) > TOLERANCE
    ]
    return _Power(breasts=len(expected), luck=_luck(list(expected.values())), sides=len(differing))


def _luck(values: Sequence[float]) -> float:
    return chance([(repr(float(value)),) for value in values], TOLERANCE) if values else 1.0
