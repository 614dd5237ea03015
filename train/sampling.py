"""Which images an epoch shows, in which batches: planned from the seed alone.

A plan is a list of batches; a batch is a list of (row, seed), and the seed decides how that
item is augmented. So an epoch is the same whatever the number of loading processes, and can be
taken up again in its middle. Sampling sees the rows of the training part only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from train.errors import ConfigError, DataError

Batch = list[tuple[int, int]]


def plan(
    labels: NDArray[np.int64],
    *,
    batch: int,
    epoch: int,
    seed: int,
    name: str = "all",
    negatives: float = 7.0,
    share: float = 1.0,
) -> list[Batch]:
    """Return the batches of an epoch over rows with these labels, int64 [N].

    * `all`: every image once;
    * `negatives`: every positive, and `negatives` negatives to each, drawn anew each epoch;
    * `balanced`: 1 positive to `negatives` negatives in each batch, at least one positive; an
      epoch is a `share` of the negatives, positives come round as often as needed.
    """
    rng = np.random.default_rng([seed, epoch])
    sick, healthy = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if name == "all":
        rows = rng.permutation(len(labels))
    elif name == "negatives":
        kept = min(len(healthy), round(len(sick) * negatives))
        rows = rng.permutation(np.concatenate([sick, rng.permutation(healthy)[:kept]]))
    elif name == "balanced":
        rows = _balanced(rng, sick, healthy, batch, negatives, share)
    else:
        raise ConfigError(f"sampler.name is {name!r}, not one of all, negatives, balanced.")
    seeds = rng.integers(2**62, size=len(rows))
    items = [(int(row), int(seed)) for row, seed in zip(rows, seeds, strict=True)]
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    # A last batch of one would stop batch normalisation.
    if len(batches) > 1 and len(batches[-1]) < max(2, batch // 2):
        batches.pop()
    if not batches:
        raise DataError("There is nothing to train on: the training part has no images.")
    return batches


def _balanced(
    rng: np.random.Generator,
    sick: NDArray[np.int64],
    healthy: NDArray[np.int64],
    batch: int,
    negatives: float,
    share: float,
) -> NDArray[np.int64]:
    if not len(sick) or not len(healthy):
        raise DataError("Balanced batches need images with and without cancer to train on.")
    positives = max(1, round(batch / (1 + negatives)))
    others = max(1, batch - positives)
    count = max(1, int(share * len(healthy) / others))
    ill, well = _round(rng, sick, count * positives), _round(rng, healthy, count * others)
    batches = np.concatenate([ill.reshape(count, -1), well.reshape(count, -1)], axis=1)
    return rng.permuted(batches, axis=1).ravel()


def _round(rng: np.random.Generator, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` rows: each shuffled through before any comes again."""
    times = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(times)])[:count]


class Epochs:
    """The batches of the epoch at hand, for a loader that outlives it.

    With several training processes each takes every n-th batch of the same plan.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        """Begin with nothing planned."""
        self.batches: list[Batch] = []
        self.rank, self.world = rank, world

    def begin(self, batches: list[Batch], done: int = 0) -> None:
        """Set the epoch's batches, skipping those that each process has done."""
        whole = len(batches) // self.world * self.world
        if not whole:
            raise DataError(
                f"{len(batches)} batches cannot be shared by {self.world} processes: train with "
                "fewer processes or smaller batches."
            )
        self.batches = batches[:whole][self.rank :: self.world][done:]

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches that are left."""
        return iter(self.batches)

    def __len__(self) -> int:
        """Return how many batches are left."""
        return len(self.batches)
