"""Optimizer, learning rate, loss and moving average: the small parts of the loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.data import UNKNOWN, Item
from train.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def build_optimizer(cfg: DictConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer; norms and biases are spared the weight decay."""
    if cfg.name not in _OPTIMIZERS:
        raise ConfigError(f"optimizer.name is {cfg.name!r}, not one of {', '.join(_OPTIMIZERS)}.")
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": cfg.weight_decay},
        {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
    ]
    more: dict[str, float] = {"momentum": cfg.momentum} if cfg.name == "sgd" else {}
    return _OPTIMIZERS[cfg.name](groups, lr=cfg.lr, **more)


class Schedule:
    """The learning rate over time.

    `cosine` warms up and falls to `floor`; `plateau` is multiplied by `factor` when the
    validation loss has not fallen for more than `patience` epochs (it watches a loss and
    nothing else, so it cannot stand in the wrong mode); `constant` stays.
    """

    def __init__(self, cfg: DictConfig, optimizer: torch.optim.Optimizer, epochs: int) -> None:
        """Take the optimizer's learning rate as the highest."""
        if cfg.name not in ("cosine", "plateau", "constant"):
            raise ConfigError(
                f"scheduler.name is {cfg.name!r}, not one of cosine, plateau, constant."
            )
        self.cfg, self.optimizer, self.epochs = cfg, optimizer, epochs
        self.highest = float(optimizer.param_groups[0]["lr"])
        self.reduction, self.lowest_loss, self.bad_epochs = 1.0, math.inf, 0

    def rate(self, progress: float) -> float:
        """Return the learning rate after `progress` epochs."""
        if self.cfg.name != "cosine":
            return self.highest * self.reduction
        warm = float(self.cfg.warmup)
        if progress < warm:
            return self.highest * (progress + 0.01) / (warm + 0.01)
        gone = (progress - warm) / max(self.epochs - warm, 1e-9)
        wave = (1 + math.cos(math.pi * min(gone, 1.0))) / 2
        return self.highest * (self.cfg.floor + (1 - self.cfg.floor) * wave)

    def step(self, progress: float) -> float:
        """Set and return the learning rate for the next step."""
        rate = self.rate(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def end_epoch(self, loss: float) -> None:
        """Take note of the epoch's validation loss."""
        if loss < self.lowest_loss - 1e-4 * abs(self.lowest_loss) or math.isinf(self.lowest_loss):
            self.lowest_loss, self.bad_epochs = loss, 0
            return
        self.bad_epochs += 1
        if self.cfg.name == "plateau" and self.bad_epochs > self.cfg.patience:
            self.reduction, self.bad_epochs = self.reduction * self.cfg.factor, 0

    def state_dict(self) -> dict[str, float]:
        """Return what resuming needs."""
        return {
            "reduction": self.reduction,
            "lowest_loss": self.lowest_loss,
            "bad_epochs": self.bad_epochs,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from a saved state."""
        self.reduction, self.lowest_loss = state["reduction"], state["lowest_loss"]
        self.bad_epochs = int(state["bad_epochs"])


class Loss:
    """Cancer's loss plus that of the auxiliary targets.

    `positive_target` below 1 makes positives soft: not every image of a sick breast shows it.
    """

    def __init__(self, cfg: DictConfig, auxiliary: Sequence[int]) -> None:
        """Take the number of classes of each auxiliary target."""
        if cfg.name not in ("bce", "focal"):
            raise ConfigError(f"loss.name is {cfg.name!r}, not one of bce, focal.")
        self.cfg, self.auxiliary = cfg, list(auxiliary)

    def __call__(self, logits: Tensor, item: Item) -> Tensor:
        """Return the mean loss of a batch's logits [N, outputs]."""
        loss = self.cancer(logits[:, 0].float(), item.target)
        if not self.auxiliary:
            return loss
        parts = logits[:, 1:].float().split(self.auxiliary, dim=1)
        for number, part in enumerate(parts):
            known = item.auxiliary[:, number]
            if (known != UNKNOWN).any():
                extra = functional.cross_entropy(part, known, ignore_index=UNKNOWN)
                loss = loss + self.cfg.auxiliary_weight * extra
        return loss

    def cancer(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of cancer's logits [N]."""
        soft = target * self.cfg.positive_target
        weight = torch.tensor(float(self.cfg.positive_weight), device=logits.device)
        each = functional.binary_cross_entropy_with_logits(
            logits, soft, pos_weight=weight, reduction="none"
        )
        if self.cfg.name == "focal":
            each = each * (soft - logits.sigmoid()).abs() ** self.cfg.gamma
        return each.mean()


class MovingAverage:
    """Exponential moving average of weights, warming up so that early epochs count little."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the model's weights."""
        self.decay, self.steps = decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model's weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)
