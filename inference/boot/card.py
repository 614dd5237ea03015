"""What a model says of itself: in its ONNX file, and in the manifest of its bundle.

The notebook's first cell carries this source: the standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from inference.boot.fields import ADDED, Plain, load_json, parse_as


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image becomes an input; `inference.pixels.preprocess` says what each value means."""

    version: int
    size: tuple[int, int]  # height, width
    window: Literal["dicom", "min-max", "percentile"] = "dicom"
    percentiles: tuple[float, float] = (0.5, 99.5)
    crop: Literal["breast", "none"] = "breast"
    crop_margin: float = 0.02
    flip: Literal["chest-left", "none"] = "chest-left"
    fit: Literal["pad", "stretch"] = "pad"
    decode_margin: float = 1.0
    reduce: Literal["area", "bilinear"] = field(default="area", metadata=ADDED)


@dataclass(frozen=True, kw_only=True)
class Normalize:
    """(x * scale - mean) / std for uint8 x; one number, or one for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where the weights of one fold come from; None where their file does not say."""

    name: str
    sha256: str
    weights: str  # the key in the file that they were found under
    fold: int | None
    epoch: int | None
    metrics: Mapping[str, float]
    metrics_per: Literal["breast", "image"] | None
    prevalence: float  # of the validation set
    run_id: str | None
    commit: str | None
    dirty: bool | None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Differences between a network and the ONNX file made of it, over `images` images.

    `reference` is what the network was computed in: torch in float64 or float32, or (`onnx`) the
    file that was adopted. `noise` is how far the network itself is off from that in float32.

    `rank_agreement` is the share of pairs that keep their order; None where no two answers are
    further apart than the tolerance, so that nothing was shown about the order.
    """

    images: int
    real: int
    probability_max: float
    probability_mean: float
    logit_max: float
    logit_mean: float
    rank_agreement: float | None
    tolerance: float
    reference: Literal["float64", "float32", "onnx"] = "float32"
    noise: float | None = None  # in probability
    logit_noise: float | None = None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How probabilities differ from those that were recorded, over `predictions` of them.

    `rank_agreement` is None where no two recorded ones are far enough apart, `correlation` where
    one side is constant.
    """

    predictions: int
    largest: float
    mean: float
    correlation: float | None
    rank_agreement: float | None


@dataclass(frozen=True, kw_only=True)
class FoldProof(Agreement):
    """The agreement on images of one fold, replayed by the member that did not train on them."""

    fold: str
    member: str  # the checkpoint


@dataclass(frozen=True, kw_only=True)
class Proof(Agreement):
    """Agreement of the exported model with the user's own out-of-fold predictions.

    Images are read, prepared and predicted anew; at most `tolerance` was allowed.
    """

    tolerance: float
    folds: tuple[FoldProof, ...]

    @property
    def text(self) -> str:
        """Return the numbers of the proof on one line."""
        rest = "".join(
            f", {name} {value:.3f}"
            for name, value in (("correlation", self.correlation), ("ranks", self.rank_agreement))
            if value is not None
        )
        return (
            f"own predictions, n = {self.predictions} (off by {self.largest:.1g} at most, "
            f"{self.mean:.1g} on average{rest})"
        )


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """F1 where each part's breasts are judged by the threshold that is best on the other parts.

    The parts are the folds or, where the rows name none, some of the patients.
    """

    by: Literal["fold", "patients"]
    f1: float
    thresholds: tuple[float, ...]  # one for each part


@dataclass(frozen=True, kw_only=True)
class Curve:
    """pF1 against the threshold for one aggregation, with a bootstrap band over patients.

    `plateau` is the range of thresholds around the best one that reach 98 % of its pF1; `points`
    are (threshold, pF1, low, high). `pf1` is the best of all thresholds on the rows themselves, so
    that it is optimistic; `cross_fit` is not.
    """

    aggregation: str
    threshold: float
    pf1: float
    low: float
    high: float
    plateau: tuple[float, float]
    probabilistic: float
    breasts: int
    positives: int
    points: tuple[tuple[float, float, float, float], ...]
    cross_fit: CrossFit | None = None


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """What the threshold was chosen by: the curves of out-of-fold predictions, and their digest."""

    sha256: str | None
    pf1_at_threshold: float | None
    curves: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What an ONNX file says of itself, in its own metadata and in the manifest.

    `factory` (`module:function`) built the network where timm did not, from `model_kwargs`;
    `prevalence` is what a breast without a readable image gets where `output` is a probability.
    """

    checkpoints: tuple[Checkpoint, ...]
    arch: str
    model_kwargs: Mapping[str, Plain]
    precision: str
    preprocess: Preprocess
    normalize: Normalize
    head: str
    metadata_columns: tuple[str, ...]
    output: Literal["binary", "probability"]
    aggregation: Literal["mean", "max"]
    threshold: float | None
    prevalence: float
    out_of_fold: OutOfFold | None = None
    operations: int | None = None  # floating-point operations that an image costs
    golden_images: int = 0
    parity: Parity | None = None
    weight: float = 1.0  # in the mean over the bundle's models
    average: Literal["weighted", "rank"] = "weighted"  # `inference.averaging`; alike in all models
    factory: str | None = None
    ignored: tuple[str, ...] = ()  # patterns of the checkpoints' tensors that were left out
    proof: Proof | None = None
    warnings: tuple[str, ...] = ()  # what the export warned of

    @property
    def proof_line(self) -> str:
        """Return what the user's own predictions prove of this model, in one line."""
        return f"proof: {self.proof.text if self.proof else 'none'}"


@dataclass(frozen=True, kw_only=True)
class OnnxModel(Card):
    """A card, and the file of the bundle that it is of."""

    file: str


@dataclass(frozen=True, kw_only=True)
class GoldenDicom:
    """A DICOM file, and the fingerprint of the pixels that each model gets from it.

    `exercises` names what of a real file it stands for. `size` (height, width) takes the place of
    each model's own: small files then are reduced as large ones are. `at_once`: decoders that
    begin on long runs only (compiled, on a GPU) decode it from the first image on.
    """

    file: str
    prepared: Mapping[str, str]
    exercises: str = ""
    size: tuple[int, int] | None = None
    at_once: bool = False


@dataclass(frozen=True, kw_only=True)
class GoldenRow:
    """A row of the test table as text, and the numbers that each column of the models became."""

    columns: Mapping[str, str]
    encoded: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a replayed number may be off: on the CPU, and on anything else."""

    cpu: float
    other: float


@dataclass(frozen=True, kw_only=True)
class GoldenPrediction:
    """Prepared images (a .npy file), their metadata, and what the model answered on the laptop.

    `logits` [images][folds]: a saturated probability hides a difference. Their tolerance is a share
    of the logit where that is beyond 1.
    """

    model: str
    images: str
    metadata: tuple[tuple[float, ...], ...] | None
    probabilities: tuple[float, ...]
    tolerance: Tolerance
    logits: tuple[tuple[float, ...], ...] = ()
    logit_tolerance: Tolerance | None = None


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What the notebook replays before the first image of the test set.

    Fields with a default came later: a bundle without them is replayed as far as it goes.
    """

    dicoms: tuple[GoldenDicom, ...]
    predictions: tuple[GoldenPrediction, ...]
    rows: tuple[GoldenRow, ...] = ()


def parse_card(text: str) -> Card:
    """Parse the card that an ONNX file carries. Raises ValueError that names the field."""
    return parse_as(Card, load_json(text))
