"""Decoding beside predicting, in bounded memory.

Worker processes load the images; this process gathers them into batches and hands these to one
thread per copy of the models (a GPU each, or the CPU). At any time there are a few images with
each worker and two batches with each copy, however many images there are.
"""

import queue
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from inference import metadata
from inference.deadline import Deadline
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded
from inference.pixels.preprocess import PreprocessConfig
from inference.predict import Model
from inference.submission import TestImage
from inference.workers import Task, Workers, load_all

COARSE_MARGIN = 0.5  # of the input's size is decoded where time is short; the rest is enlarged
Replica = Sequence[Model]  # all models of the bundle, opened on one device


@dataclass(kw_only=True)
class Batch:
    """Images for one call of the models: their indices, what was loaded, and at which pace."""

    coarse: bool
    keys: list[int] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)


@dataclass(kw_only=True)
class Outcome:
    """What became of the images: a probability by index, or a failure by image id and kind.

    It grows while the run goes on, and is the only count of images there is: progress, deadline
    and report all ask it.
    """

    total: int
    probabilities: dict[int, float] = field(default_factory=dict)
    failures: list[tuple[str, ImageError]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # image ids that time did not allow
    coarse: set[int] = field(default_factory=set)  # indices of images taken at the fastest settings
    transfer_syntaxes: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    workers: int = 0
    peak_rss_bytes: int = 0  # of the largest worker

    @property
    def done(self) -> int:
        """Return how many images are settled, one way or the other."""
        return len(self.probabilities) + len(self.failures) + len(self.skipped)


def run(
    images: Sequence[TestImage],
    replicas: Sequence[Replica],
    workers: Workers,
    *,
    batch_size: int,
    flip: bool = False,
    deadline: Deadline | None = None,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Predict every image with every model and average the models' probabilities.

    Each file is read once, whatever the number of models. `flip` averages each image with its
    mirror image. Where `deadline` is over, the images that are left are named in `skipped`.
    """
    deadline = deadline or Deadline()
    outcome = Outcome(total=len(images))
    predictor = Predictor(images, replicas, outcome, flip)
    batches: dict[bool, Batch] = {}
    deadline.begin()
    with predictor:
        for result in load_all(workers, _tasks(images, replicas[0], deadline, outcome)):
            progress(outcome)
            if isinstance(result.loaded, ImageError):
                outcome.failures.append((images[result.key].image_id, result.loaded))
                continue
            _count(outcome, result.loaded)
            coarse = result.key in outcome.coarse
            batch = batches.setdefault(coarse, Batch(coarse=coarse))
            batch.keys.append(result.key)
            batch.loaded.append(result.loaded)
            if len(batch.keys) >= batch_size:
                predictor.submit(batches.pop(coarse))
        for batch in batches.values():
            predictor.submit(batch)
    outcome.workers, outcome.peak_rss_bytes = workers.count, workers.peak_rss
    progress(outcome)
    return outcome


def _tasks(
    images: Sequence[TestImage], models: Replica, deadline: Deadline, outcome: Outcome
) -> Iterator[Task]:
    """Yield a task an image, as fine as the time that is left allows when it is drawn."""
    full = tuple(model.preprocess for model in models)
    coarse: tuple[PreprocessConfig, ...] = (replace(full[0], decode_margin=COARSE_MARGIN),)
    for key, image in enumerate(images):
        pace = deadline.pace(outcome.done, outcome.total)
        if pace == "over":
            outcome.skipped += [later.image_id for later in images[key:]]
            return
        if pace == "coarse":
            outcome.coarse.add(key)
        yield Task(key=key, path=image.path, configs=coarse if pace == "coarse" else full)


def _count(outcome: Outcome, loaded: Loaded) -> None:
    outcome.transfer_syntaxes[loaded.transfer_syntax] += 1
    outcome.decoders[loaded.decoder] += 1
    for stage, seconds in loaded.seconds.items():
        outcome.seconds[stage] += seconds


Predicted = tuple[Batch, npt.NDArray[np.float32], float]  # probabilities [N], seconds


class Predictor:
    """Threads that predict batches, one for each copy of the models."""

    def __init__(
        self,
        images: Sequence[TestImage],
        replicas: Sequence[Replica],
        outcome: Outcome,
        flip: bool,
    ) -> None:
        self._images, self._outcome, self._flip = images, outcome, flip
        self._free: queue.SimpleQueue[Replica] = queue.SimpleQueue()
        for replica in replicas:
            self._free.put(replica)
        self._most = 2 * len(replicas)  # batches: one being predicted, one waiting
        self._pool = ThreadPoolExecutor(len(replicas))
        self._pending: deque[Future[Predicted]] = deque()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is pending; an error of a batch surfaces here or in `submit`."""
        try:
            while self._pending:
                self._settle(self._pending.popleft())
        finally:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, batch: Batch) -> None:
        """Queue a batch, and wait while as many as there may be are pending."""
        while len(self._pending) >= self._most or (self._pending and self._pending[0].done()):
            self._settle(self._pending.popleft())
        self._pending.append(self._pool.submit(self._predict, batch))

    def _settle(self, future: "Future[Predicted]") -> None:
        batch, values, seconds = future.result()
        for key, value in zip(batch.keys, values, strict=True):
            self._outcome.probabilities[key] = float(value)
        self._outcome.seconds["predict"] += seconds

    def _predict(self, batch: Batch) -> Predicted:
        replica = self._free.get()
        start = time.perf_counter()
        try:
            values = self._average(batch, replica)
        finally:
            self._free.put(replica)
        return batch, values, time.perf_counter() - start

    def _average(self, batch: Batch, replica: Replica) -> npt.NDArray[np.float32]:
        """Return the mean over the models; where time is short, the first one's."""
        probabilities = []
        for index, model in enumerate(replica[:1] if batch.coarse else replica):
            pixels = np.stack([loaded.inputs[index] for loaded in batch.loaded])
            rows = [self._images[key].columns for key in batch.keys]
            columns = np.stack([metadata.encode(row, model.metadata_columns) for row in rows])
            probabilities.append(model.predict(pixels, columns))
            if self._flip and not batch.coarse:
                probabilities.append(model.predict(pixels[:, :, ::-1], columns))
        mean: npt.NDArray[np.float32] = np.mean(probabilities, axis=0)
        return mean
