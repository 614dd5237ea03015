"""Learning rate, loss and moving average against torch's and hand-worked values."""

import math

import pytest
import torch
from hydra import compose, initialize_config_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from train.data import UNKNOWN, Item
from train.optim import Loss, MovingAverage, Schedule, build_optimizer


def configured(*overrides: str):
    with initialize_config_module("train.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def scheduled(*overrides: str, epochs: int = 10) -> Schedule:
    cfg = configured(*overrides)
    return Schedule(cfg.scheduler, build_optimizer(cfg.optimizer, nn.Linear(2, 1)), epochs)


PLATEAU = configured("scheduler=plateau").scheduler


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=30))
def test_plateau_is_torchs_in_mode_min(losses):
    optimizers = [torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1) for _ in range(2)]
    ours = Schedule(PLATEAU, optimizers[0], 30)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizers[1], mode="min", patience=3, factor=0.1
    )
    for loss in losses:
        ours.end_epoch(loss)
        torchs.step(loss)
        expected = optimizers[1].param_groups[0]["lr"]
        # torch stops reducing below a difference of 1e-8.
        assert ours.rate(1.0) == pytest.approx(expected, abs=2e-8)


def test_plateau_falls_when_the_loss_rises_and_stays_when_it_falls():
    falling, rising = scheduled("scheduler=plateau"), scheduled("scheduler=plateau")
    for epoch in range(10):
        falling.end_epoch(1 / (epoch + 1))
        rising.end_epoch(1.0 + epoch)
    assert falling.rate(10) == falling.highest
    assert rising.rate(10) < rising.highest


def test_cosine_warms_up_and_falls_to_its_floor():
    schedule = scheduled("scheduler=cosine", "scheduler.warmup=2", "scheduler.floor=0.01")
    rates = [schedule.step(progress / 10) for progress in range(101)]
    assert rates[0] < 0.01 * schedule.highest
    assert rates[20] == pytest.approx(schedule.highest)
    assert rates[60] == pytest.approx(schedule.highest * (0.01 + 0.99 / 2))
    assert rates[100] == pytest.approx(0.01 * schedule.highest)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_a_schedule_goes_on_from_its_state():
    first, second = scheduled(), scheduled()
    for loss in (1.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        first.end_epoch(loss)
    second.load_state_dict(first.state_dict())
    assert second.rate(6) == first.rate(6) < first.highest


def item(targets: list[float], auxiliary: list[list[int]] | None = None) -> Item:
    count = len(targets)
    return Item(
        torch.zeros(count, 1, 8, 8),
        torch.tensor(targets),
        torch.zeros(count, 0),
        torch.tensor(auxiliary or [[] for _ in targets], dtype=torch.int64),
        torch.arange(count),
    )


def test_soft_positives_by_hand():
    loss = Loss(configured("loss=soft").loss, [])
    logits = torch.tensor([[0.0], [2.0]])
    soft = -(0.9 * math.log(0.5) + 0.1 * math.log(0.5))
    negative = math.log(1 + math.exp(2.0))
    assert float(loss(logits, item([1.0, 0.0]))) == pytest.approx((soft + negative) / 2)


def test_focal_loss_spares_the_easy():
    bce, focal = (Loss(configured(f"loss={name}").loss, []) for name in ("bce", "focal"))
    easy, hard = torch.tensor([[4.0]]), torch.tensor([[-4.0]])
    sick = item([1.0])
    assert float(focal(easy, sick) / bce(easy, sick)) < 0.001
    assert float(focal(hard, sick) / bce(hard, sick)) > 0.9


def test_unknown_auxiliary_targets_cost_nothing():
    loss = Loss(configured("loss.auxiliary_weight=1.0").loss, [2, 3])
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    alone = Loss(configured().loss, [])(logits, item([0, 1, 0, 1]))
    unknown = loss(logits, item([0, 1, 0, 1], [[UNKNOWN, UNKNOWN]] * 4))
    assert float(unknown) == pytest.approx(float(alone))
    one = loss(logits, item([0, 1, 0, 1], [[1, UNKNOWN]] + [[UNKNOWN, UNKNOWN]] * 3))
    expected = -float(logits[0, 1:3].log_softmax(0)[1])
    assert float(one - alone) == pytest.approx(expected, rel=1e-5)


def test_a_moving_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = MovingAverage(model, decay=0.5)
    nn.init.constant_(model.weight, 3.0)
    average.update(model)  # decay (1 + 1) / (10 + 1) while it warms up
    assert average.weights["weight"].item() == pytest.approx(2 / 11 * 1 + 9 / 11 * 3)


def test_norms_and_biases_are_spared_the_weight_decay():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    decayed, spared = build_optimizer(configured("optimizer=adamw").optimizer, model).param_groups
    assert [weight.ndim for weight in decayed["params"]] == [4]
    assert decayed["weight_decay"] == 0.05
    assert {weight.ndim for weight in spared["params"]} == {1}
    assert spared["weight_decay"] == 0
