"""Decoding beside predicting, in bounded memory."""

import itertools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference import metadata
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded, load
from inference.predict import Model
from inference.submission import TestImage

BATCH = 8


@dataclass(kw_only=True)
class Outcome:
    """What became of the images: a probability by path, or a failure by image id and kind."""

    total: int
    probabilities: dict[Path, float] = field(default_factory=dict)
    failures: list[tuple[str, ImageError]] = field(default_factory=list)
    transfer_syntaxes: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def done(self) -> int:
        """Return how many images are settled, one way or the other."""
        return len(self.probabilities) + len(self.failures)


def run(
    images: Sequence[TestImage],
    models: Sequence[Model],
    workers: int | None = None,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Predict every image with every model and average the models' probabilities.

    Each file is read once, whatever the number of models. At most a few batches of prepared
    images are in memory at a time.
    """
    workers = workers or os.cpu_count() or 1
    outcome = Outcome(total=len(images))
    with ThreadPoolExecutor(workers) as pool:
        prepared = _load_ahead(pool, images, models, 2 * BATCH + workers)
        for batch in _batches(prepared, outcome):
            _predict(batch, models, outcome)
            progress(outcome)
    return outcome


def _load_ahead(
    pool: ThreadPoolExecutor, images: Sequence[TestImage], models: Sequence[Model], ahead: int
) -> Iterator[tuple[TestImage, Future[Loaded]]]:
    configs = [model.preprocess for model in models]
    source = iter(images)
    waiting: list[tuple[TestImage, Future[Loaded]]] = []
    while True:
        for image in itertools.islice(source, ahead - len(waiting)):
            waiting.append((image, pool.submit(load, image.path, configs)))
        if not waiting:
            return
        yield waiting.pop(0)


def _batches(
    prepared: Iterable[tuple[TestImage, Future[Loaded]]], outcome: Outcome
) -> Iterator[list[tuple[TestImage, Loaded]]]:
    batch: list[tuple[TestImage, Loaded]] = []
    for image, future in prepared:
        try:
            loaded = future.result()
        except ImageError as error:
            outcome.failures.append((image.image_id, error))
            continue
        outcome.transfer_syntaxes[loaded.transfer_syntax] += 1
        outcome.decoders[loaded.decoder] += 1
        for stage, seconds in loaded.seconds.items():
            outcome.seconds[stage] += seconds
        batch.append((image, loaded))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(
    batch: list[tuple[TestImage, Loaded]], models: Sequence[Model], outcome: Outcome
) -> None:
    start = time.perf_counter()
    answers = []
    for index, model in enumerate(models):
        pixels = np.stack([loaded.inputs[index] for _, loaded in batch])
        told = [metadata.encode(image.columns, model.metadata_columns) for image, _ in batch]
        answers.append(model.predict(pixels, np.stack(told)))
    for (image, _), value in zip(batch, np.mean(answers, axis=0), strict=True):
        outcome.probabilities[image.path] = float(value)
    outcome.seconds["predict"] += time.perf_counter() - start
