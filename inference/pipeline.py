"""Decoding beside predicting, in bounded memory.

Worker processes load the images; this process gathers them into batches and hands these to one
thread per copy of the models (a GPU each, or the CPU). At any time there are a few images with
each worker and two batches with each copy, however many images there are.
"""

import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType

import numpy as np
import numpy.typing as npt

from inference import metadata
from inference.deadline import Deadline
from inference.interrupts import Interrupted
from inference.journal import Journal
from inference.outcome import Outcome, Prediction
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded
from inference.pixels.preprocess import PreprocessConfig
from inference.predict import Model
from inference.submission import TestImage
from inference.workers import WORTH_A_SECOND_TRY, FileState, Result, Task, Workers, load_all

COARSE_MARGIN = 0.5  # of the input's size is decoded where time is short; the rest is enlarged
# Second tries in a row that fail before the others are not made: the fault is no accident then.
HOPELESS = 20
Replica = Sequence[Model]  # all models of the bundle, opened on one device


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image that was loaded, of a file in this state."""

    key: int
    loaded: Loaded
    file: FileState | None


@dataclass(kw_only=True)
class Batch:
    """Images for one call of the models, and at which pace they were loaded."""

    coarse: bool
    items: list[Item] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the images are predicted; `order` is theirs, by index (None: the table's)."""

    batch_size: int
    flip: bool = False  # average each image with its mirror image
    order: Sequence[int] | None = None
    progress: Callable[[Outcome], None] = lambda outcome: None


def run(
    images: Sequence[TestImage],
    replicas: Sequence[Replica],
    workers: Workers,
    settings: Settings,
    *,
    deadline: Deadline | None = None,
) -> Outcome:
    """Predict every image with every model and average the models' probabilities.

    Each file is read once, whatever the number of models. Where `deadline` is over, the images
    that are left are in `skipped`.
    """
    outcome = attempt(images, replicas, workers, settings, deadline=deadline)
    if outcome.error:
        raise outcome.error
    return outcome


def attempt(
    images: Sequence[TestImage],
    replicas: Sequence[Replica],
    workers: Workers,
    settings: Settings,
    *,
    deadline: Deadline | None = None,
    journal: Journal | None = None,
) -> Outcome:
    """Do what `run` does, but keep what was predicted before an error or a signal, in `error`.

    What the journal holds is not predicted again, and what is predicted goes into it.
    """
    outcome = Outcome(total=len(images), workers=workers.count)
    try:
        _Run(
            images=images,
            replicas=replicas,
            workers=workers,
            settings=settings,
            outcome=outcome,
            deadline=deadline or Deadline(),
            journal=journal,
        ).predict()
    except (Exception, Interrupted) as error:  # noqa: BLE001 - whatever it is, what was predicted stays
        outcome.end_early(error)
    outcome.peak_rss_bytes = workers.peak_rss
    return outcome


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The parts of one run."""

    images: Sequence[TestImage]
    replicas: Sequence[Replica]
    workers: Workers
    settings: Settings
    outcome: Outcome
    deadline: Deadline
    journal: Journal | None

    def predict(self) -> None:
        """Resume what the journal holds, and load and predict the rest."""
        for prediction in self.journal.predictions if self.journal else ():
            self.outcome.add(prediction)
        self.outcome.resumed = self.outcome.seen
        self.deadline.begin(self.outcome.resumed)
        order = self.settings.order
        keys = range(self.outcome.total) if order is None else order
        rest = [key for key in keys if key not in self.outcome.probabilities]
        batches: dict[bool, Batch] = {}
        with Predictor(self) as predictor:
            for item in self._load(rest):
                coarse = item.key in self.outcome.coarse
                batch = batches.setdefault(coarse, Batch(coarse=coarse))
                batch.items.append(item)
                if len(batch.items) >= self.settings.batch_size:
                    predictor.submit(batches.pop(coarse))
            for batch in batches.values():
                predictor.submit(batch)
        self.settings.progress(self.outcome)

    def _load(self, keys: Sequence[int]) -> Iterator[Item]:
        """Load images, beside each other and then, where that failed by accident, one by one."""
        again: list[Result] = []
        for result in load_all(self.workers, self._tasks(keys)):
            self.settings.progress(self.outcome)
            if isinstance(result.loaded, Loaded):
                yield self._item(result, result.loaded)
            elif result.loaded.kind in WORTH_A_SECOND_TRY:
                again.append(result)
            else:
                self.outcome.failures[result.key] = result.loaded
        failed = 0
        again.sort(key=lambda result: _kind(result) == "timeout")  # which take longest, come last
        for result in again:
            if failed < HOPELESS and self._pace() != "over":
                result = self.workers.load_alone(self._task(result.key))
            self.settings.progress(self.outcome)
            if isinstance(result.loaded, Loaded):
                failed = 0
                yield self._item(result, result.loaded)
            else:
                failed += 1
                self.outcome.failures[result.key] = result.loaded

    def _tasks(self, keys: Sequence[int]) -> Iterator[Task]:
        """Yield a task an image, as fine as the time that is left allows when it is drawn."""
        for position, key in enumerate(keys):
            pace = self._pace()
            if pace == "over":
                self.outcome.skipped += keys[position:]
                return
            if pace == "coarse":
                self.outcome.coarse.add(key)
            yield self._task(key)

    def _task(self, key: int) -> Task:
        configs = tuple(model.preprocess for model in self.replicas[0])
        if key in self.outcome.coarse:
            coarse: PreprocessConfig = replace(configs[0], decode_margin=COARSE_MARGIN)
            configs = (coarse,)
        return Task(key=key, path=self.images[key].path, configs=configs)

    def _pace(self) -> str:
        return self.deadline.pace(self.outcome.seen, self.outcome.total)

    def _item(self, result: Result, loaded: Loaded) -> Item:
        for stage, seconds in loaded.seconds.items():
            self.outcome.seconds[stage] += seconds
        return Item(key=result.key, loaded=loaded, file=result.file)


Predicted = tuple[Batch, npt.NDArray[np.float32], float]  # probabilities [N], seconds


class Predictor:
    """Threads that predict batches, one for each copy of the models."""

    def __init__(self, run: _Run) -> None:
        self._images, self._outcome, self._journal = run.images, run.outcome, run.journal
        self._flip = run.settings.flip
        self._free: queue.SimpleQueue[Replica] = queue.SimpleQueue()
        for replica in run.replicas:
            self._free.put(replica)
        self._most = 2 * len(run.replicas)  # batches: one being predicted, one waiting
        self._pool = ThreadPoolExecutor(len(run.replicas))
        self._pending: deque[Future[Predicted]] = deque()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is pending: an error of one batch costs no other what it predicted."""
        failed: Exception | None = None
        try:
            while self._pending:
                try:
                    self._settle(self._pending.popleft())
                except Exception as another:  # noqa: BLE001 - raised below
                    failed = failed or another
        finally:
            self._pool.shutdown(cancel_futures=True)
        if failed and not error:
            raise failed

    def submit(self, batch: Batch) -> None:
        """Queue a batch, and wait while as many as there may be are pending."""
        while len(self._pending) >= self._most or (self._pending and self._pending[0].done()):
            self._settle(self._pending.popleft())
        self._pending.append(self._pool.submit(self._predict, batch))

    def _settle(self, future: "Future[Predicted]") -> None:
        batch, values, seconds = future.result()
        self._outcome.seconds["predict"] += seconds
        predictions = []
        for item, value in zip(batch.items, map(float, values), strict=True):
            if math.isfinite(value):
                predictions.append(_prediction(item, value, batch.coarse))
                self._outcome.add(predictions[-1])
            else:
                image = self._images[item.key].image_id
                self._outcome.failures[item.key] = ImageError(
                    "not-a-number", f"The model predicts {value} for the image {image}."
                )
        if self._journal:
            self._journal.append(predictions)

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
            pixels = np.stack([item.loaded.inputs[index] for item in batch.items])
            rows = [self._images[item.key].columns for item in batch.items]
            columns = np.stack([metadata.encode(row, model.metadata_columns) for row in rows])
            probabilities.append(model.predict(pixels, columns))
            if self._flip and not batch.coarse:
                probabilities.append(model.predict(pixels[:, :, ::-1], columns))
        mean: npt.NDArray[np.float32] = np.mean(probabilities, axis=0)
        return mean


def _kind(result: Result) -> str:
    return result.loaded.kind if isinstance(result.loaded, ImageError) else ""


def _prediction(item: Item, probability: float, coarse: bool) -> Prediction:
    return Prediction(
        key=item.key,
        probability=probability,
        coarse=coarse,
        transfer_syntax=item.loaded.transfer_syntax,
        decoder=item.loaded.decoder,
        suspicious=item.loaded.suspicious,
        file=item.file,
    )
