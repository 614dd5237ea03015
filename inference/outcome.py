"""What became of the images of a run: the only count of them that there is."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from inference.pixels.errors import ImageError
from inference.workers import FileState


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The probability of one image, and how it came about: what the journal keeps."""

    key: int  # the image's index in the table
    probability: float
    members: tuple[float, ...]  # each model's, where the mean is one of ranks; else empty
    coarse: bool  # at the fastest settings
    transfer_syntax: str
    decoder: str
    suspicious: tuple[str, ...]  # why the file may be damaged, though it was decoded
    file: FileState | None  # of the file when it was read


@dataclass(kw_only=True)
class Outcome:
    """A probability or a failure by the image's index; it grows while the run goes on.

    Progress, deadline and report all ask it. `error` is what ended the run before its time.
    """

    total: int
    probabilities: dict[int, float] = field(default_factory=dict)
    members: dict[int, tuple[float, ...]] = field(default_factory=dict)
    failures: dict[int, ImageError] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)  # that time, or the error, did not allow
    coarse: set[int] = field(default_factory=set)  # taken at the fastest settings
    suspicious: dict[int, tuple[str, ...]] = field(default_factory=dict)
    transfer_syntaxes: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    workers: int = 0
    peak_rss_bytes: int = 0  # of the largest worker
    resumed: int = 0  # images that an earlier run, which was killed, had predicted
    error: BaseException | None = None

    @property
    def seen(self) -> int:
        """Return how many images were predicted or failed."""
        return len(self.probabilities) + len(self.failures)

    @property
    def done(self) -> int:
        """Return how many images are settled, one way or the other."""
        return self.seen + len(self.skipped)

    def add(self, prediction: Prediction) -> None:
        """Count a predicted image."""
        self.probabilities[prediction.key] = prediction.probability
        if prediction.members:
            self.members[prediction.key] = prediction.members
        self.transfer_syntaxes[prediction.transfer_syntax] += 1
        self.decoders[prediction.decoder] += 1
        if prediction.suspicious:
            self.suspicious[prediction.key] = prediction.suspicious
        if prediction.coarse:
            self.coarse.add(prediction.key)

    def end_early(self, error: BaseException) -> None:
        """Note what ended the run, and that all images which are not settled are left out."""
        self.error = error
        settled = self.probabilities.keys() | self.failures.keys()
        self.skipped = [key for key in range(self.total) if key not in settled]
