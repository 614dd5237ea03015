"""What is logged of a run, and when: nothing here decides what is learned."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from train import curves, revision, settings, sheets, storage
from train.tracking import Tracker, default_uri

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from train.data import Images
    from train.outcome import Summary
    from train.processes import Processes


class RunLogger:
    """Logs a run to its tracker; in all processes but the first it does nothing."""

    def __init__(self, tracker: Tracker | None, out: Path) -> None:
        """Take the tracker, or None for silence."""
        self.tracker, self.out = tracker, out

    @property
    def run_id(self) -> str | None:
        """The run's id, for its checkpoints."""
        return self.tracker.run_id if self.tracker else None

    def log_settings(self, cfg: DictConfig) -> None:
        """Log the settings, and which commit the code is of."""
        if self.tracker is None:
            return
        code = revision.current()
        self.tracker.params(settings.flatten(settings.plain(cfg)))
        self.tracker.tags({"git.commit": str(code.commit), "git.dirty": str(code.dirty)})
        self.tracker.artifact(self.out / "config.yaml")

    def begin_fold(self) -> None:
        """Try to send what was kept back before the next fold begins."""
        if self.tracker is not None:
            self.tracker.send()

    def log_images(self, fold: int, images: Images) -> None:
        """Log what the model sees, in training and at inference, side by side."""
        if self.tracker is not None:
            self._log_picture(f"fold{fold}_sees.png", sheets.train_and_inference(images))

    def log_epoch(self, fold: int, row: Mapping[str, float], epoch: int) -> None:
        """Log an epoch's metrics."""
        if self.tracker is not None:
            self.tracker.metrics({f"fold{fold}/{name}": row[name] for name in row}, epoch)
            self.tracker.send()

    def end_fold(self, fold: int, history: Sequence[Mapping[str, float]], checkpoint: Path) -> None:
        """Log a fold's curves and its checkpoint."""
        if self.tracker is not None:
            self._log_picture(f"fold{fold}_history.png", curves.history(history))
            self.tracker.artifact(checkpoint, "checkpoints")
            self.tracker.send()

    def end_run(self, summaries: Mapping[str, Summary]) -> None:
        """Log the out-of-fold metrics, for each way to aggregate a breast's images."""
        if self.tracker is None:
            return
        for aggregation, summary in summaries.items():
            numbers = summary.flat()
            self.tracker.metrics({f"oof_{aggregation}/{name}": numbers[name] for name in numbers})
        self._log_picture("oof.png", curves.of_predictions(self.out / "oof.csv"))
        for name in ("oof.csv", "metrics.json"):
            self.tracker.artifact(self.out / name)
        self.tracker.end()
        if not self.tracker.send():
            print(
                f"train: not all metrics could be sent. Send them later with `python -m "
                f"train.tracking send {self.out}`.",
                file=sys.stderr,
            )

    def _log_picture(self, name: str, content: bytes) -> None:
        assert self.tracker is not None
        storage.write(str(self.out / name), content)
        self.tracker.artifact(self.out / name, "pictures")


def open_logger(cfg: DictConfig, out: Path, processes: Processes) -> RunLogger:
    """Open the run's logger, and log the settings first."""
    if not processes.first:
        return RunLogger(None, out)
    uri = cfg.tracking.uri or default_uri(out.parent)
    tracker = Tracker(out, None if uri == "none" else uri, cfg.tracking.experiment, cfg.name)
    logger = RunLogger(tracker, out)
    logger.log_settings(cfg)
    return logger
