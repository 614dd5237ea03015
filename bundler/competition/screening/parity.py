"""Are the notebook's numbers those of the laptop? And, where labels are known, how good?"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.competition.screening.hidden_test import HiddenSet
from bundler.rehearse.checks.checks import Check, verdict
from bundler.rehearse.run.layout import probed_rows
from bundler.rehearse.run.notebook_run import Performance
from inference.boot import bundle as reader
from inference.boot.card import Card
from inference.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TOLERANCE = 1e-3  # in probability; another build of the runtime moves the last digits
FEW_POSITIVES = 10  # fewer say nothing about pF1
RESAMPLES = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the laptop shows the first model of an image, uint8 [H, W], and the probability."""

    pixels: "npt.NDArray[np.uint8]"
    probability: float


def compare(seen: Performance, hidden: HiddenSet, model: Path) -> list[Check]:
    """Return the checks of the performance's numbers."""
    if seen.probed is None:
        tail = "\n".join(seen.probe_log.strip().splitlines()[-6:])
        said = f"The numbers could not be measured in the room after the run:\n{tail}"
        return [Check(name="numbers", status="failed", said=said)]
    bundle = reader.read(model)
    answers = _answer(bundle, hidden)
    here = {name: answer.probability for name, answer in answers.items()}
    problems = [*_pixels(seen, answers), *_probabilities(seen, here)]
    problems += _breasts(seen, hidden, here, bundle.model.models[0])
    checks = [
        verdict("numbers", problems, f"{len(here)} images answer as they do on the laptop"),
        verdict("modules", seen.probed["origins"], "each locked package is the bundle's own"),
        *_score(seen, hidden, bundle.model.models[0]),
    ]
    values = set(here.values())
    if len(values) == 1 and len(here) > 2:
        said = f"All {len(here)} images get {values.pop():.4f}: the model sees nothing."
        checks.append(Check(name="constant", status="failed", said=said))
    return checks


def _answer(bundle: reader.Bundle, hidden: HiddenSet) -> dict[str, Answer]:
    """Return the laptop's own answer to each probed image, by its id."""
    from inference import metadata, predict
    from inference.pixels.loading import load

    models = predict.load(bundle, "cpu")[0]
    answers = {}
    for row in probed_rows(hidden):
        loaded = load(hidden.path(row), [model.preprocess for model in models])
        found = []
        for model, pixels in zip(models, loaded.inputs, strict=True):
            told = metadata.encode(row, model.metadata_columns)
            found.append(float(model.predict(pixels[None], told[None])[0]))
        answers[row["image_id"]] = Answer(
            pixels=loaded.inputs[0], probability=sum(found) / len(found)
        )
    return answers


def _pixels(seen: Performance, answers: Mapping[str, Answer]) -> Iterator[str]:
    """Compare what the model was shown there with what it is shown here, pixel by pixel."""
    import numpy as np

    if seen.inputs is None:
        return
    with np.load(seen.inputs, allow_pickle=False) as arrays:
        for (image, answer), name in zip(answers.items(), arrays.files, strict=True):
            here, there = answer.pixels, arrays[name]
            if here.shape != there.shape:
                yield f"Image {image} is {there.shape} there, {here.shape} here."
                return
            off = np.abs(here.astype(int) - there.astype(int))
            if off.max() > 0:
                yield (
                    f"Image {image} has other pixels there than here (by up to {off.max()}, "
                    f"{np.mean(off > 0):.1%} of them): the code bundle prepares images otherwise "
                    "than training does here. Bundle the code that the model was trained with."
                )
                return


def _probabilities(seen: Performance, here: Mapping[str, float]) -> Iterator[str]:
    there: Mapping[str, float] = (seen.probed or {})["numbers"]
    off = {name: abs(there[name] - value) for name, value in here.items() if name in there}
    worst = max(off, key=off.__getitem__, default=None)
    if worst is not None and not off[worst] <= TOLERANCE:
        yield (
            f"Image {worst} has the probability {there[worst]:.4f} there, {here[worst]:.4f} here "
            f"({TOLERANCE:g} is allowed): the runtime or the preprocessing differs."
        )


def _breasts(
    seen: Performance, hidden: HiddenSet, here: Mapping[str, float], card: Card
) -> Iterator[str]:
    """Compare what submission.csv says of whole breasts with what the laptop would say."""
    from inference import submission

    written = read_submission(seen.working / "submission.csv")
    join = submission.AGGREGATIONS[card.aggregation]
    breasts: dict[str, list[float]] = {}
    for row in probed_rows(hidden):
        breasts.setdefault(row["prediction_id"], []).append(here[row["image_id"]])
    for breast, values in breasts.items():
        value, said = join(values), written.get(breast)
        try:
            decided, _ = submission.decide(
                {breast: value}, card.output, card.threshold, card.prevalence
            )
        except RunError:
            return
        near = card.output == "binary" and abs(value - (card.threshold or 0)) <= TOLERANCE
        if said is None or near:
            continue
        if not abs(said - decided[breast]) <= TOLERANCE:
            yield (
                f"The submission says {said:g} of {breast}, the laptop {decided[breast]:g} "
                f"(probability {value:.4f})."
            )
            return


def read_submission(path: Path) -> dict[str, float]:
    """Return the predictions of a submission that can be read, by prediction_id."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return {r["prediction_id"]: float(r["cancer"]) for r in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError, TypeError):
        return {}


def _score(seen: Performance, hidden: HiddenSet, card: Card) -> Iterator[Check]:
    """Compare pF1 on the sample with cross-validation's, where there is enough to compare."""
    if not hidden.labels:
        return
    import numpy as np

    from train.metrics import pfbeta

    written = read_submission(seen.working / "submission.csv")
    names = [name for name in hidden.labels if name in written]
    labels = np.array([hidden.labels[name] for name in names])
    values = np.array([written[name] for name in names])
    if not names or labels.sum() < FEW_POSITIVES:
        said = f"{int(labels.sum())} positive breasts among {len(names)}: too few to say anything"
        yield Check(name="score", status="unproven", said=f"{said}; take more --patients.")
        return
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(names), size=len(names)) for _ in range(RESAMPLES)]
    scores = [pfbeta(labels[rows], values[rows]) for rows in drawn]
    low, high = np.quantile(scores, [0.025, 0.975])
    known = [one.metrics["pfbeta"] for one in card.checkpoints if "pfbeta" in one.metrics]
    said = f"pF1 {pfbeta(labels, values):.3f} (95 %: {low:.3f} to {high:.3f}) on the sample"
    if not known:
        yield Check(name="score", status="unproven", said=f"{said}; no cross-validation to compare")
        return
    expected = sum(known) / len(known)
    said += f", {expected:.3f} in cross-validation (threshold and image set differ)"
    if not 0.5 <= labels.mean() / max(card.prevalence, 1e-9) <= 2:
        # pF1 grows with the share of cancers, so scores at different shares do not compare.
        said += f"; {labels.mean():.1%} have cancer here, {card.prevalence:.1%} there"
        yield Check(name="score", status="unproven", said=f"{said}: not to be compared")
        return
    yield Check(name="score", status="failed" if high < expected / 2 else "passed", said=said)
