"""Are the notebook's predictions those of the laptop? And, where labels are known, how good?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bundler.competition.check import Check, verdict
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.image_csv import Images
from bundler.competition.screening.laptop import Prediction
from bundler.competition.screening.measurement import Pixels
from bundler.competition.screening.probe import Probed
from bundler.competition.screening.submission_csv import some
from inference.boot.card import Card
from inference.errors import RunError

TOLERANCE = 1e-3  # in probability; another build of the runtime moves the last digits
FEW_POSITIVES = 10  # fewer say nothing about pF1
RESAMPLES = 500


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """What the notebook's side of the comparison is."""

    probed: Probed
    inputs: Sequence[Pixels]  # what the first model was shown of each compared image
    submission: Mapping[str, float]  # prediction_id → what submission.csv says
    images: Images | None  # what the run says of each image; None where it does not


def compare(
    notebook: Notebook, hidden: HiddenSet, card: Card, laptop: Mapping[str, Prediction]
) -> list[Check]:
    """Return whether pixels, probabilities and submission agree with those of the laptop."""
    probabilities = {name: prediction.probability for name, prediction in laptop.items()}
    problems = [
        *_pixels(notebook.inputs, laptop),
        *compare_images(notebook.probed.predictions, probabilities),
        *_run_images(notebook.images, hidden, probabilities),
        *compare_images(notebook.probed.batched, probabilities, "in a batch of a GPU's size"),
        *_breasts(notebook.submission, hidden, probabilities, card),
    ]
    fine = f"{len(laptop)} images are predicted as on the laptop"
    if batched := len(notebook.probed.batched):
        fine += f", {batched} of them in batches as a GPU takes them, too"
    checks = [
        verdict("parity", problems, fine),
        verdict("modules", notebook.probed.origins, "every locked package comes from the bundle"),
        *_score(notebook.submission, hidden, card),
    ]
    if reason := notebook.probed.not_batched:
        message = f"A GPU's batches were not tried on this machine: {reason}."
        checks.append(Check(name="batches", status="unproven", message=message))
    # One or two images may well agree; where all do, the comparison above proves nothing.
    values = set(probabilities.values())
    if len(values) == 1 and len(laptop) > 2:
        message = f"All {len(laptop)} images get {values.pop():.4f}: the model sees nothing."
        checks.append(Check(name="constant", status="failed", message=message))
    return checks


def _pixels(inputs: Sequence[Pixels], laptop: Mapping[str, Prediction]) -> Iterator[str]:
    """Compare what the model was shown on the notebook with the laptop's, pixel by pixel."""
    import numpy as np

    if not inputs:
        return
    for (image, prediction), theirs in zip(laptop.items(), inputs, strict=True):
        ours = prediction.pixels
        if ours.shape != theirs.shape:
            yield f"Image {image} is {theirs.shape} on the notebook, {ours.shape} here."
            return
        off = np.abs(ours.astype(int) - theirs.astype(int))
        if off.max() > 0:
            yield (
                f"Image {image} has other pixels on the notebook than here (by up to {off.max()}, "
                f"{np.mean(off > 0):.1%} of them): the code bundle prepares images in another way "
                "than training does here. Bundle the code that the model was trained with."
            )
            return


def _run_images(
    images: Images | None, hidden: HiddenSet, laptop: Mapping[str, float]
) -> Iterator[str]:
    """Compare what the very run predicted, and not only what is predicted after it."""
    if images is None:
        return  # of a runner from before it said so
    expected = {row["image_id"] for row in hidden.rows if row["image_id"] in laptop}
    if missing := sorted(expected - images.keys()):
        yield f"{len(missing)} images have no prediction in the run: {some(missing)}."
    yield from compare_images(images, laptop, "in the run, among all images")


def compare_images(
    notebook: Mapping[str, float], laptop: Mapping[str, float], where: str = "on the notebook"
) -> Iterator[str]:
    """Yield the image whose probability on the notebook is furthest from the laptop's."""
    off = {name: abs(notebook[name] - value) for name, value in laptop.items() if name in notebook}
    worst = max(off, key=off.__getitem__, default=None)
    # Written with `not`, so that a NaN does not pass.
    if worst is not None and not off[worst] <= TOLERANCE:
        yield (
            f"Image {worst} has the probability {notebook[worst]:.4f} {where}, "
            f"{laptop[worst]:.4f} here ({TOLERANCE:g} is allowed): the runtime or the "
            "preprocessing differs, or another image was predicted in its place."
        )


def _breasts(
    submission: Mapping[str, float],
    hidden: HiddenSet,
    laptop: Mapping[str, float],
    card: Card,
) -> Iterator[str]:
    """Compare what submission.csv says of whole breasts with what the laptop would say."""
    from inference.submission import AGGREGATIONS, decide

    by_breast: dict[str, list[float]] = {}
    for row in hidden.compared:
        by_breast.setdefault(row["prediction_id"], []).append(laptop[row["image_id"]])
    for breast, values in by_breast.items():
        value, written = AGGREGATIONS[card.aggregation](values), submission.get(breast)
        try:
            decided, _ = decide({breast: value}, card.output, card.threshold, card.prevalence)
        except RunError:  # binary without a threshold: the run itself has failed by it
            return
        # Near the threshold the last digit decides between 0 and 1, on either machine.
        near = card.output == "binary" and abs(value - (card.threshold or 0)) <= TOLERANCE
        if written is None or near:
            continue
        if not abs(written - decided[breast]) <= TOLERANCE:
            yield (
                f"The submission says {written:g} of {breast}, the laptop {decided[breast]:g} "
                f"(probability {value:.4f})."
            )
            return


def _score(submission: Mapping[str, float], hidden: HiddenSet, card: Card) -> Iterator[Check]:
    """Compare pF1 on the sample with cross-validation's, where there is enough to compare."""
    if not hidden.labels:
        return
    import numpy as np

    from train.metrics import pfbeta

    names = [name for name in hidden.labels if name in submission]
    labels = np.array([hidden.labels[name] for name in names])
    values = np.array([submission[name] for name in names])
    if not names or labels.sum() < FEW_POSITIVES:
        message = (
            f"{int(labels.sum())} positive breasts among {len(names)}: too few to say anything; "
            "raise --patients."
        )
        yield Check(name="score", status="unproven", message=message)
        return
    # A bootstrap over breasts: the metric is no mean, so it has no standard error of its own.
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(names), size=len(names)) for _ in range(RESAMPLES)]
    scores = [pfbeta(labels[rows], values[rows]) for rows in drawn]
    low, high = np.quantile(scores, [0.025, 0.975])
    known = [one.metrics["pfbeta"] for one in card.checkpoints if "pfbeta" in one.metrics]
    message = f"pF1 {pfbeta(labels, values):.3f} (95 %: {low:.3f} to {high:.3f}) on the sample"
    if not known:
        message += "; no cross-validation to compare with"
        yield Check(name="score", status="unproven", message=message)
        return
    expected = sum(known) / len(known)
    message += f", {expected:.3f} in cross-validation (threshold and image set differ)"
    if not 0.5 <= labels.mean() / max(card.prevalence, 1e-9) <= 2:
        # pF1 grows with the share of cancers, so scores at different shares do not compare.
        message += (
            f"; {labels.mean():.1%} have cancer in the sample, {card.prevalence:.1%} in "
            "validation: not to be compared"
        )
        yield Check(name="score", status="unproven", message=message)
        return
    yield Check(name="score", status="failed" if high < expected / 2 else "passed", message=message)
