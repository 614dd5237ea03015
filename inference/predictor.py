"""Batches of loaded images → probabilities, on one thread per copy of the models."""

import math
import queue
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt

from inference import averaging, metadata
from inference.journal import Journal
from inference.outcome import Outcome, Prediction
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded
from inference.predict import Model, Replica
from inference.submission import TestImage
from inference.workers import FileState


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


# Probabilities [N], those of each model [N, models] where they are kept, seconds.
Predicted = tuple[Batch, npt.NDArray[np.float32], npt.NDArray[np.float32] | None, float]


class Predictor:
    """Threads that predict batches, one for each copy of the models."""

    def __init__(
        self,
        images: Sequence[TestImage],
        replicas: Sequence[Replica],
        outcome: Outcome,
        journal: Journal | None,
        flip: bool,
    ) -> None:
        self._images, self._outcome, self._journal = images, outcome, journal
        self._flip = flip
        self._free: queue.SimpleQueue[Replica] = queue.SimpleQueue()
        for replica in replicas:
            self._free.put(replica)
        self._most = 2 * len(replicas)  # batches: one being predicted, one waiting
        self._pool = ThreadPoolExecutor(len(replicas))
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
        batch, values, members, seconds = future.result()
        self._outcome.seconds["predict"] += seconds
        predictions = []
        rows = [()] * len(values) if members is None else [tuple(row) for row in members.tolist()]
        for item, value, row in zip(batch.items, map(float, values), rows, strict=True):
            if math.isfinite(value):
                predictions.append(_prediction(item, value, row, batch.coarse))
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
            values, members = self._average(batch, replica)
        finally:
            self._free.put(replica)
        return batch, values, members, time.perf_counter() - start

    def _average(
        self, batch: Batch, replica: Replica
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return the weighted mean over the models, and each model's where ranks need them.

        Where time is short it is the first model's alone.
        """
        models = replica[:1] if batch.coarse else replica
        each = [self._predict_by(model, index, batch) for index, model in enumerate(models)]
        mean = averaging.weigh(each, [model.card.weight for model in models])
        ranked = replica[0].card.average == "rank"
        return mean, np.stack(each, axis=1) if ranked else None

    def _predict_by(self, model: Model, index: int, batch: Batch) -> npt.NDArray[np.float32]:
        """Return one model's probabilities [N], averaged with the mirrored images' if asked."""
        pixels = np.stack([item.loaded.inputs[index] for item in batch.items])
        rows = [self._images[item.key].columns for item in batch.items]
        columns = np.stack([metadata.encode(row, model.metadata_columns) for row in rows])
        probabilities = [model.predict(pixels, columns)]
        if self._flip and not batch.coarse:
            probabilities.append(model.predict(pixels[:, :, ::-1], columns))
        mean: npt.NDArray[np.float32] = np.mean(probabilities, axis=0)
        return mean


def _prediction(
    item: Item, probability: float, members: tuple[float, ...], coarse: bool
) -> Prediction:
    return Prediction(
        key=item.key,
        probability=probability,
        members=members,
        coarse=coarse,
        transfer_syntax=item.loaded.transfer_syntax,
        decoder=item.loaded.decoder,
        suspicious=item.loaded.suspicious,
        file=item.file,
    )
