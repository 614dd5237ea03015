"""What a rehearsal asks of a competition, whichever it is.

`Competition.write` makes a hidden test; the rehearsal runs the notebook on it; the hidden test,
which alone knows what was planted and which answers are right, judges what the run left behind:

    competition.write(folder, units) → HiddenTest → (the notebook runs) → RunOutput
    hidden.check(output) → SubmissionResult        is it a submission at all?
    hidden.compare(output, model) → ComparisonResult   are its predictions the laptop's?

Nothing here knows of sandboxes or notebooks: arrows point from `rehearse` to `competition` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bundler.competition.check import Check
from bundler.competition.gateway.process import GatewayOutput, GatewayPlan
from bundler.competition.run_report import RunReport
from inference.boot.bundle import Bundle

# --- what a competition is given ---


@dataclass(frozen=True, kw_only=True)
class RunOutput:
    """What one run of the notebook left behind; read once, by the rehearsal."""

    working: Path  # a copy of /kaggle/working: the submission is looked for here
    probe: Path  # the folder that the competition's probe wrote to, as far as it came
    report: RunReport | None = None  # submission.json, where the runner in the box wrote one
    probe_log: str = ""  # what the probe printed
    gateway: GatewayOutput | None = None  # what a gateway beside the notebook left


# --- what it returns ---


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Something awkward that was put into a hidden test: which row or file, and what about it."""

    name: str
    case: str
    advice: str = ""  # what to do where a run fails on it


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A script that measures in the sandbox after the notebook has ended, and its input.

    It is started by the notebook's Python as `python script input.json` and writes its results
    into the folder `out` that `HiddenTest.probe` was given.
    """

    script: Path
    input: str  # JSON text


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A histogram of the predictions, for the report."""

    counts: tuple[int, ...]  # of equally wide bins
    low: float  # where the first bin begins
    high: float  # where the last one ends
    note: str  # one line below it: count, mean, …


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What each step of a run took, one after the other, for the report."""

    name: str  # "Seconds of each call"
    unit: Literal["s", "B"]
    values: tuple[float, ...]
    limit: float | None = None  # None: there is none, or it is far away


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A small picture for the report: what the model was shown, and what it predicted."""

    name: str
    value: str  # the prediction, as text
    about: tuple[str, ...]  # lines of the caption
    png: bytes


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Rows of one kind that take about as long as each other, such as those of one file format."""

    name: str
    share: float  # in the hidden test, among the kinds that the sample has: they sum to 1
    count: int  # how many the sample has
    seconds: tuple[Mapping[str, float], ...]  # for each timed one: stage → seconds of one core


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How fast steady work was, in the sandbox, after the notebook: what a projection rests on."""

    rows: str  # what is counted, in the plural: "images", "phantoms of at most 64×48"
    sample: int  # rows that stand for the real ones; 0: awkward ones alone
    rates: tuple[float, ...]  # seconds per row in each part of the steady work, all cores at work
    strata: tuple[Stratum, ...]
    predict_seconds: float  # of those per row, for predicting
    worker_bytes: int  # memory that another worker needs
    on_gpu: bool  # a GPU predicted
    scale: float = 1.0  # how many times as much work a real row may be, where phantoms stand for it
    doubts: tuple[str, ...] = ()  # whole sentences: what the sample cannot tell of the real rows


@dataclass(frozen=True, kw_only=True)
class SubmissionResult:
    """What a competition says of a submission without knowing the right answers."""

    checks: tuple[Check, ...]
    distribution: Distribution | None = None  # None: there is nothing to draw
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """What a competition says of the predictions, compared with those made on the laptop."""

    checks: tuple[Check, ...]
    pictures: tuple[Picture, ...] = ()
    measurement: Measurement | None = None  # None: nothing was measured


# --- the two parts ---


class HiddenTest(Protocol):
    """A competition's folder with a test set that nobody has seen, and what is known of it."""

    @property
    def folder(self) -> Path:
        """Return the folder to mount: test and sample_submission tables, and the test's files."""

    @property
    def ids(self) -> Sequence[str]:
        """Return the ids that a submission must hold, once each, in the sample's order."""

    @property
    def submission(self) -> str:
        """Return the name of the submission's file: "submission.csv"."""

    @property
    def columns(self) -> Sequence[str]:
        """Return the submission's columns in order, the id's among them."""

    @property
    def source(self) -> str:
        """Return what it was made from, for people: "6 patients of … 's training images"."""

    @property
    def units(self) -> int:
        """Return how many units (patients, studies, rows …) were dealt, without planted ones."""

    @property
    def size(self) -> int:
        """Return how many of what the setting `hidden_units` counts are in it altogether."""

    @property
    def planted(self) -> Sequence[Planted]:
        """Return the awkward cases in it."""

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return the right answers where they are known: id → column → value as in the table."""

    @property
    def gateway(self) -> GatewayPlan | None:
        """Return the gateway to start beside the notebook; None where there is none."""

    def second(self, folder: Path, size: int) -> "HiddenTest":
        """Write another hidden test of about so large a `size` into the new folder `folder`.

        It holds the rows of this one, as far as they fit, among others and in another order: one
        run on it shows growth, order and neighbours. Equal sizes give equal tests.
        """

    def variables(self, model: Bundle | None) -> Mapping[str, str]:
        """Return what the notebook's environment has in this run alone, beside Kaggle's own.

        A hidden test of another size may so ask for what makes its answers tell more.
        """

    @property
    def notes(self) -> Sequence[str]:
        """Return what is not as on Kaggle, for people."""

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe | None:
        """Return what to run in the sandbox after the notebook; None where there is no such thing.

        `places` says where the notebook finds `libs`, `model`, `code` and `competition`, `out`
        where the probe may write, `seconds` how long its steady work may take.
        """

    def check(self, output: RunOutput) -> SubmissionResult:
        """Check the submission of a run, and what the run says of itself."""

    def compare(self, output: RunOutput, model: Bundle | None) -> ComparisonResult:
        """Compare a run's predictions with those that the laptop makes with the same model."""

    def compare_runs(
        self, output: RunOutput, others: "Sequence[OtherRun]", model: Bundle | None = None
    ) -> Sequence[Check]:
        """Compare a run with others of the same notebook: on more rows, in another order."""


OtherRun = tuple[HiddenTest, RunOutput]  # another run: what it was given, what it left


class Competition(Protocol):
    """A competition as far as a rehearsal needs to know it. Frozen; what it reads is its own."""

    @property
    def unit(self) -> str:
        """Return what `--units` counts, in the singular: "patient", "row"."""

    @property
    def rows(self) -> str:
        """Return what the setting `hidden_units` counts, in the plural: "images", "rows"."""

    def public(self) -> HiddenTest | None:
        """Return the public test, as a notebook meets it when it is not rerun; None: not here."""

    def validate(self, units: int | None) -> None:
        """Raise UsageError where so many units, or the options given, cannot be a hidden test.

        Called before anything else is done, so that a typing error costs no minutes; None: their
        number will follow from the budget.
        """

    def write(self, folder: Path, units: int) -> HiddenTest:
        """Write a hidden test of so many units, and the awkward cases, into the new `folder`.

        Equal input gives an equal hidden test. Raises InputError where the data do not serve.
        """
