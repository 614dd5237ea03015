"""RSNA screening mammography, as a rehearsal sees it: the Protocol, implemented."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bundler.competition.check import Check, verdict
from bundler.competition.protocol import (
    ComparisonResult,
    OtherRun,
    Planted,
    Probe,
    RunOutput,
    SubmissionResult,
)
from bundler.competition.screening import (
    growth,
    hidden_test,
    image_csv,
    measurement,
    parity,
    pictures,
    report_checks,
    runs,
    submission_csv,
)
from bundler.competition.screening.hidden_test import COLUMNS, HiddenSet
from bundler.competition.screening.laptop import Laptop
from bundler.errors import UsageError
from inference.boot.bundle import Bundle
from inference.rehearsal import VARIABLE, Rehearsal

PHANTOM_SIZE = (2048, 1664)
MOST_PATIENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class ScreeningTest:
    """A hidden test of mammograms, and how its predictions are judged."""

    data: HiddenSet
    laptop: Laptop  # its predictions, shared with the larger tests that are made from this one
    folder: Path
    ids: Sequence[str]  # breasts
    source: str
    units: int  # patients
    planted: Sequence[Planted]
    labels: Mapping[str, Mapping[str, str]]
    submission: str = submission_csv.NAME
    columns: tuple[str, ...] = COLUMNS
    notes: tuple[str, ...] = ()  # all is as on Kaggle

    @property
    def gateway(self) -> None:
        """Return None: the notebook reads the folder itself."""
        return None

    @property
    def size(self) -> int:
        """Return how many images it has."""
        return len(self.data.rows)

    def second(self, folder: Path, size: int) -> "ScreeningTest":
        """Write these images and small phantoms, `size` in all, turned round."""
        return _judged(growth.write(self.data, folder, size), self.laptop)

    def variables(self, model: Bundle | None) -> Mapping[str, str]:
        """Return a threshold in the middle of the laptop's probabilities, for a larger test.

        The first test has none: its run is as on Kaggle.
        """
        if not self.data.turned or model is None:
            return {}
        probabilities = self._probabilities(model)
        aggregation = model.model.models[0].aggregation
        breasts = runs.by_breast(self.data, probabilities, aggregation)
        middle = runs.threshold(list(breasts.values()))
        if middle is None:
            return {}
        return {VARIABLE: json.dumps(asdict(Rehearsal(threshold=middle)))}

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe:
        """Return the script that predicts some images one by one, and all at the runner's pace."""
        return measurement.ask(self.data, places, out, seconds)

    def check(self, output: RunOutput) -> SubmissionResult:
        """Check submission.csv and, where the runner in the box ran, its own report."""
        problems = list(submission_csv.problems(output.working / self.submission, self.ids))
        fine = f"{len(self.ids)} breasts, as in sample_submission.csv"
        written = verdict(self.submission, problems, fine)
        if output.report is None:
            return SubmissionResult(checks=(written,))
        digest = submission_csv.digest(output.working / self.submission)
        return SubmissionResult(
            checks=(written, *report_checks.check(output.report, self.data, digest)),
            distribution=report_checks.distribution(output.report.predictions),
        )

    def compare(self, output: RunOutput, model: Bundle | None) -> ComparisonResult:
        """Compare predictions with the laptop's; nothing where another runner made them."""
        if output.report is None or model is None:
            return ComparisonResult(checks=())
        probed = measurement.read(output.probe)
        if probed is None:
            tail = "\n".join(output.probe_log.strip().splitlines()[-6:])
            message = (
                f"The probe failed after the run, so there are no predictions to compare:\n{tail}"
            )
            return ComparisonResult(
                checks=(Check(name="parity", status="failed", message=message),)
            )
        notebook = parity.Notebook(
            probed=probed,
            inputs=measurement.read_inputs(output.probe),
            submission=submission_csv.read(output.working / self.submission),
            images=image_csv.read(output.working / image_csv.NAME),
        )
        card, laptop = model.model.models[0], self.laptop.predict(model)
        return ComparisonResult(
            checks=tuple(parity.compare(notebook, self.data, card, laptop)),
            pictures=pictures.draw(notebook.inputs, probed, self.data),
            measurement=measurement.summarize(probed, self.data),
        )

    def compare_runs(
        self, output: RunOutput, others: Sequence[OtherRun], model: Bundle | None = None
    ) -> tuple[Check, ...]:
        """Compare each image's probability in all runs, and what became of it in submission.csv."""
        first = _run(self.data, output)
        if first is None or model is None:
            return ()
        larger = [
            run
            for test, left in others
            if isinstance(test, ScreeningTest) and (run := _run(test.data, left))
        ]
        return runs.check(first, larger, model.model.models[0], self._probabilities(model))

    def _probabilities(self, model: Bundle) -> dict[str, float]:
        made = self.laptop.predict(model)
        return {image: prediction.probability for image, prediction in made.items()}


def _run(data: HiddenSet, output: RunOutput) -> runs.Run | None:
    """Return a run as it is compared; None where another runner than that in the box made it."""
    if output.report is None:
        return None
    return runs.Run(
        hidden=data,
        report=output.report,
        images=image_csv.read(output.working / image_csv.NAME),
        submission=submission_csv.read(output.working / submission_csv.NAME),
    )


@dataclass(frozen=True, kw_only=True)
class Screening:
    """RSNA screening mammography: phantoms, or the user's own training images."""

    folder: Path | None = None  # with train.csv and train_images; None: phantoms
    phantom_size: tuple[int, int] = PHANTOM_SIZE  # height, width of the largest
    unit: str = "patient"
    rows: str = "images"

    def public(self) -> None:
        """Return nothing: the runner in the box runs the public test as it does the hidden one."""

    def validate(self, units: int | None) -> None:
        """Raise UsageError where the number or the folder cannot be used."""
        if units is not None and not 0 <= units <= MOST_PATIENTS:
            raise UsageError(
                f"--patients is {units}. Choose from 0 (awkward images alone) to {MOST_PATIENTS}."
            )
        if self.folder is not None and not (self.folder / "train.csv").is_file():
            raise UsageError(
                f"{self.folder / 'train.csv'} does not exist. --competition-dir names the folder "
                "with train.csv and train_images; leave it out to rehearse on phantoms."
            )

    def write(self, folder: Path, units: int) -> ScreeningTest:
        """Write a hidden test of so many patients, and the awkward images. Raises InputError."""
        data = hidden_test.write(
            folder, patients=units, competition=self.folder, phantom_size=self.phantom_size
        )
        return _judged(data, Laptop(data))


def _judged(data: HiddenSet, laptop: Laptop) -> ScreeningTest:
    """Return a hidden test by what was written of it."""
    return ScreeningTest(
        data=data,
        laptop=laptop,
        folder=data.folder,
        ids=data.breasts,
        source=data.source,
        units=len({row["patient_id"] for row in data.sample}),
        planted=[Planted(name=one.row["image_id"], case=one.case) for one in data.planted],
        labels={breast: {"cancer": str(label)} for breast, label in data.labels.items()},
    )
