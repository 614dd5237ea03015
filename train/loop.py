"""The training loop of one fold, top to bottom: batches, steps, validation, what is kept.

    epoch: plan the batches from the seed → step through them → predict the validation part →
    metrics by breast → keep the checkpoint if it is the best → save the state

A process may be killed at any moment: the state that was saved last, at an epoch's end or
every `trainer.save_steps` steps, is gone on from, and the result is the same to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from train import data, metrics, randomness, sampling
from train.checkpoint import write_tensors
from train.data import Images, Item
from train.errors import ConfigError, DataError, TrainError
from train.model import Classifier
from train.optim import Loss, MovingAverage, Schedule, build_optimizer
from train.processes import Processes

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

_LOOK = 16  # steps between looks at the loss
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(kw_only=True)
class Progress:
    """How far the training has come: plain numbers, all of them in the saved state."""

    epoch: int = 0
    step: int = 0  # steps done in this epoch
    loss: float = 0.0  # summed over this epoch's steps
    best: float = -math.inf
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


class Fold:
    """Everything of one fold that changes while it trains."""

    def __init__(
        self,
        cfg: DictConfig,
        fold: int,
        classifier: Classifier,
        auxiliary: list[int],
        processes: Processes,
    ) -> None:
        """Set up optimizer, schedule, loss, scaler and moving average for a classifier."""
        self.cfg, self.fold, self.processes = cfg, fold, processes
        self.device = processes.device
        self.classifier = classifier.to(self.device)
        if cfg.trainer.channels_last:
            self.classifier = self.classifier.to(memory_format=torch.channels_last)
        self.step_model = processes.wrap(self.classifier, compile=cfg.trainer.compile)
        self.optimizer = build_optimizer(cfg.optimizer, classifier)
        self.schedule = Schedule(cfg.scheduler, self.optimizer, cfg.trainer.epochs)
        self.loss = Loss(cfg.loss, auxiliary)
        if cfg.trainer.precision not in PRECISIONS:
            raise ConfigError(
                f"trainer.precision is {cfg.trainer.precision!r}, not one of "
                f"{', '.join(PRECISIONS)}."
            )
        self.dtype = PRECISIONS[cfg.trainer.precision]
        scaled = self.dtype == torch.float16 and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        decay = cfg.trainer.ema
        self.average = MovingAverage(classifier.net, decay) if decay else None
        self.progress = Progress()
        self.losses = torch.zeros((), dtype=torch.float64, device=self.device)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The bare network's weights."""
        return self.classifier.net.state_dict()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the network have the averaged weights inside a `with` block."""
        if self.average is None:
            yield
            return
        own = {name: value.clone() for name, value in self.weights.items()}
        self.classifier.net.load_state_dict(self.average.weights)
        try:
            yield
        finally:
            self.classifier.net.load_state_dict(own)

    def autocast(self) -> torch.autocast:
        """Return the context in which the network computes."""
        return torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32
        )

    def settle(self) -> None:
        """Add up the losses of the last steps; TrainError where they are no number.

        Not after each step: a GPU would have to stop for it.
        """
        self.progress.loss += float(self.losses)
        self.losses.zero_()
        if not math.isfinite(self.progress.loss):
            raise TrainError(
                f"The loss is {self.progress.loss} in epoch {self.progress.epoch}, by step "
                f"{self.progress.step}, of fold {self.fold}. Lower optimizer.lr, set trainer.clip, "
                "or train in fp32 or bf16."
            )

    # --- what resuming needs ---------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Save the whole state; all processes call it, the first writes."""
        self.settle()
        draws = self.processes.gather(randomness.state())
        if not self.processes.first:
            return
        # All that the next step depends on, or going on would not be the same to the bit.
        state = {
            "model": self.weights,
            "average": self.average and (self.average.weights, self.average.steps),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": vars(self.progress),
            "randomness": draws,
        }
        write_tensors(path, state)

    def resume(self, path: Path) -> bool:
        """Go on from a saved state; False where there is none."""
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        if len(state["randomness"]) != self.processes.count:
            raise TrainError(
                f"{path} was saved by {len(state['randomness'])} processes, and each has its own "
                f"random numbers: it cannot be resumed by {self.processes.count}. Start as many "
                "processes as before, or begin anew with restart=true."
            )
        self.classifier.net.load_state_dict(state["model"])
        if self.average is not None:
            weights, self.average.steps = state["average"]
            self.average.weights = {n: value.to(self.device) for n, value in weights.items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        randomness.restore(state["randomness"][self.processes.rank])
        return True


def fit(
    run: Fold,
    train: Images,
    valid: Images,
    breasts: pd.DataFrame,
    state: Path,
    keep: Callable[[Fold, dict[str, float]], None],
    report: Callable[[dict[str, float], int], None],
) -> None:
    """Train a fold to its last epoch.

    `breasts` are the validation part's rows; `keep` is called when the monitored metric is at
    its best (or always, as `trainer.keep` says), `report` after each epoch.
    """
    cfg, progress = run.cfg, run.progress
    epochs = sampling.Epochs(run.processes.rank, run.processes.count)
    loader = data.loader(train, epochs, cfg.data.workers)
    while progress.epoch < cfg.trainer.epochs:
        batches = sampling.plan(
            train.targets.numpy().astype(np.int64),
            batch=cfg.trainer.batch,
            epoch=progress.epoch,
            seed=cfg.seed + run.fold,
            **cfg.sampler,
        )
        epochs.begin(batches, progress.step * cfg.trainer.accumulate)
        seconds = train_epoch(run, loader, len(batches) // run.processes.count, state)
        with run.averaged():
            logits = predict(run, valid)
        row = measure(run, logits, valid, breasts) | seconds
        # Before the state is saved: a resumed epoch must find the rate already reduced.
        run.schedule.end_epoch(row["loss"])
        progress.history.append(row)
        report(row, progress.epoch)
        if cfg.trainer.keep == "last" or row[cfg.trainer.monitor] > progress.best:
            progress.best, progress.best_epoch = row[cfg.trainer.monitor], progress.epoch
            keep(run, row)
        progress.epoch, progress.step, progress.loss = progress.epoch + 1, 0, 0.0
        run.save(state)


def train_epoch(run: Fold, loader: DataLoader[Item], batches: int, state: Path) -> dict[str, float]:
    """Step through the batches that the epoch has left; return how fast that went."""
    cfg, progress = run.cfg, run.progress
    steps = math.ceil(batches / cfg.trainer.accumulate)
    images, waited = 0, 0.0
    rate = run.schedule.rate(progress.epoch)
    begun = idle_since = time.monotonic()
    run.step_model.train()
    pending: list[Item] = []
    left = len(loader)
    for item in loader:
        waited += time.monotonic() - idle_since
        pending.append(item)
        left -= 1
        images += len(item.row)
        if len(pending) == cfg.trainer.accumulate or not left:
            rate = run.schedule.step(progress.epoch + progress.step / steps)
            take_step(run, pending)
            pending = []
            progress.step += 1
            if progress.step % _LOOK == 0:
                run.settle()
            if cfg.trainer.save_steps and progress.step % cfg.trainer.save_steps == 0:
                run.save(state)
        idle_since = time.monotonic()
    run.settle()
    seconds = time.monotonic() - begun
    return {
        "train_loss": progress.loss / max(progress.step, 1),
        "lr": rate,
        "images_per_s": run.processes.count * images / max(seconds, 1e-9),
        "busy": 1 - waited / max(seconds, 1e-9),
        "seconds": seconds,
    }


def take_step(run: Fold, items: list[Item]) -> None:
    """Take one optimizer step over some batches."""
    for item in items:
        item = item.to(run.device)
        with run.autocast():
            loss = run.loss(run.step_model(*_inputs(run, item)), item) / len(items)
        run.scaler.scale(loss).backward()
        run.losses += loss.detach()
    # The norm to clip is that of the true gradients, not of float16's scaled ones.
    run.scaler.unscale_(run.optimizer)
    if run.cfg.trainer.clip:
        nn.utils.clip_grad_norm_(run.classifier.parameters(), run.cfg.trainer.clip)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    if run.average is not None:
        run.average.update(run.classifier.net)


@torch.inference_mode()
def predict(run: Fold, images: Images) -> NDArray[np.float64]:
    """Return the logits of all images, float64 [N, outputs], in the table's order."""
    run.classifier.eval()
    mine = range(run.processes.rank, len(images), run.processes.count)
    size = 2 * run.cfg.trainer.batch
    batches = [list(mine[start : start + size]) for start in range(0, len(mine), size)]
    parts = []
    # Each process has batch statistics of its own; all must predict with the same ones.
    run.processes.share_buffers(run.classifier)
    for batch in data.loader(images, batches, run.cfg.data.workers):
        item = batch.to(run.device)
        with run.autocast():
            parts.append((item.row.cpu(), run.classifier(*_inputs(run, item)).float().cpu()))
    pairs = [pair for shares in run.processes.gather(parts) for pair in shares]
    rows = torch.cat([rows for rows, _ in pairs])
    # Each process had every n-th image: back into the table's order.
    return torch.cat([logits for _, logits in pairs])[rows.argsort()].double().numpy()


def measure(
    run: Fold, logits: NDArray[np.float64], valid: Images, breasts: pd.DataFrame
) -> dict[str, float]:
    """Return the validation loss and the metrics by breast, at natural prevalence."""
    cancer = torch.from_numpy(logits[:, 0])
    loss = float(run.loss.cancer(cancer, valid.targets.double()))
    if not math.isfinite(loss):
        raise DataError(
            f"Epoch {run.progress.epoch} of fold {run.fold} predicts NaN. Lower optimizer.lr, or "
            "train in fp32 or bf16."
        )
    names = breasts.prediction_id.tolist()
    _, truth, probabilities = metrics.by_breast(
        names, breasts.cancer, cancer.sigmoid().numpy(), run.cfg.trainer.aggregation
    )
    return {"loss": loss, **metrics.evaluate(truth, probabilities)}


def _inputs(run: Fold, item: Item) -> tuple[Tensor, ...]:
    return (item.image, item.table) if run.cfg.model.metadata else (item.image,)
