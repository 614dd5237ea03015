"""Batches: what each strategy promises, and that a plan is a plan."""

import numpy as np
import pytest

from train import sampling
from train.errors import ConfigError, DataError

LABELS = np.array([1] * 10 + [0] * 190)


def rows(batches) -> list[int]:
    return [row for batch in batches for row, _ in batch]


def test_all_shows_every_image_once():
    batches = sampling.plan(LABELS, batch=8, epoch=0, seed=0, name="all")
    assert sorted(rows(batches)) == list(range(200))


def test_negatives_keeps_every_positive_and_draws_anew():
    first, second = (
        sampling.plan(LABELS, batch=8, epoch=epoch, seed=0, name="negatives", negatives=3)
        for epoch in (0, 1)
    )
    for batches in (first, second):
        shown = rows(batches)
        assert len(shown) == len(set(shown)) == 40
        assert set(range(10)) <= set(shown)
    assert set(rows(first)) != set(rows(second))


def test_balanced_has_one_positive_to_seven_negatives_in_each_batch():
    batches = sampling.plan(LABELS, batch=16, epoch=0, seed=0, name="balanced", negatives=7)
    assert all(sum(LABELS[row] for row, _ in batch) == 2 for batch in batches)
    small = sampling.plan(LABELS, batch=4, epoch=0, seed=0, name="balanced", negatives=7)
    assert all(sum(LABELS[row] for row, _ in batch) == 1 for batch in small)
    shown = [row for row in rows(batches) if LABELS[row] == 0]
    assert len(set(shown)) == len(shown) >= 180  # an epoch is nearly all negatives, none twice


def test_a_plan_follows_from_the_seed_and_the_epoch():
    plan = {"batch": 8, "name": "balanced"}
    first = sampling.plan(LABELS, epoch=3, seed=1, **plan)
    assert first == sampling.plan(LABELS, epoch=3, seed=1, **plan)
    assert first != sampling.plan(LABELS, epoch=4, seed=1, **plan)
    assert first != sampling.plan(LABELS, epoch=3, seed=2, **plan)


def test_no_last_batch_is_too_small_for_batch_normalisation():
    for size in range(2, 40):
        batches = sampling.plan(np.arange(size) % 2, batch=8, epoch=0, seed=0)
        assert len(batches) == 1 or min(map(len, batches)) >= 4


def test_processes_share_a_plan_evenly():
    batches = sampling.plan(LABELS, batch=8, epoch=0, seed=0)
    shares = []
    for rank in range(3):
        epochs = sampling.Epochs(rank, 3)
        epochs.begin(batches, done=2)
        shares.append(list(epochs))
        assert len(epochs) == len(batches) // 3 - 2
    assert not set(rows(shares[0])) & set(rows(shares[1]))
    with pytest.raises(DataError, match="cannot be shared by 99"):
        sampling.Epochs(0, 99).begin(batches)


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ConfigError, match="not one of all, negatives, balanced"):
        sampling.plan(LABELS, batch=8, epoch=0, seed=0, name="most")
    with pytest.raises(DataError, match="with and without cancer"):
        sampling.plan(np.zeros(9, int), batch=8, epoch=0, seed=0, name="balanced")
    with pytest.raises(DataError, match="nothing to train on"):
        sampling.plan(np.zeros(0, int), batch=8, epoch=0, seed=0)
