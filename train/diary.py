"""What a run tells its tracker, and when: nothing here decides what is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train import curves, revision, settings, sheets, storage
from train.tracking import Tracker, default_uri

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from train.data import Images
    from train.processes import Processes


class Diary:
    """Keeps the tracker up to date; in all processes but the first it is silent."""

    def __init__(self, tracker: Tracker | None, out: Path) -> None:
        """Take the tracker, or None for silence."""
        self.tracker, self.out = tracker, out

    @property
    def run_id(self) -> str | None:
        """The run's id, for its checkpoints."""
        return self.tracker.run_id if self.tracker else None

    def open(self, cfg: DictConfig) -> None:
        """Tell the settings and where the code stands."""
        if self.tracker is None:
            return
        code = revision.current()
        self.tracker.params(settings.flatten(settings.plain(cfg)))
        self.tracker.tags({"git.commit": str(code.commit), "git.dirty": str(code.dirty)})
        self.tracker.artifact(self.out / "config.yaml")

    def begin(self) -> None:
        """Try to send what was kept back before the next fold begins."""
        if self.tracker is not None:
            self.tracker.send()

    def show(self, fold: int, images: Images) -> None:
        """Tell what the model sees: in training and at inference, side by side."""
        if self.tracker is not None:
            self._picture(f"fold{fold}_sees.png", sheets.train_and_inference(images))

    def epoch(self, fold: int, row: Mapping[str, float], epoch: int) -> None:
        """Tell an epoch's metrics."""
        if self.tracker is not None:
            self.tracker.metrics({f"fold{fold}/{name}": row[name] for name in row}, epoch)
            self.tracker.send()

    def finish(self, fold: int, history: Sequence[Mapping[str, float]], checkpoint: Path) -> None:
        """Tell a fold's curves and its checkpoint."""
        if self.tracker is not None:
            self._picture(f"fold{fold}_history.png", curves.history(history))
            self.tracker.artifact(checkpoint, "checkpoints")
            self.tracker.send()

    def end(self, found: Mapping[str, Any]) -> None:
        """Tell what came of the run."""
        if self.tracker is None:
            return
        for how, row in found.items():
            numbers = {k: v for k, v in row.items() if isinstance(v, (int, float))}
            bounds = {
                f"{name}_{end}": interval[end]
                for name, interval in row["interval"].items()
                for end in ("low", "high")
                if interval[end] is not None
            }
            sites = {
                f"site{site}/{name}": value
                for site, metrics in row["sites"].items()
                for name, value in metrics.items()
            }
            self.tracker.metrics(
                {f"oof_{how}/{name}": v for name, v in (numbers | bounds | sites).items()}
            )
        self._picture("oof.png", curves.of_predictions(self.out / "oof.csv"))
        for name in ("oof.csv", "metrics.json"):
            self.tracker.artifact(self.out / name)
        self.tracker.end()
        if not self.tracker.send():
            print(f"train: send the rest later with `python -m train.tracking send {self.out}`")

    def _picture(self, name: str, content: bytes) -> None:
        assert self.tracker is not None
        storage.write(str(self.out / name), content)
        self.tracker.artifact(self.out / name, "pictures")


def open_diary(cfg: DictConfig, out: Path, processes: Processes) -> Diary:
    """Open the run's diary; its first page is the settings."""
    if not processes.first:
        return Diary(None, out)
    uri = cfg.tracking.uri or default_uri(out.parent)
    tracker = Tracker(out, None if uri == "none" else uri, cfg.tracking.experiment, cfg.name)
    diary = Diary(tracker, out)
    diary.open(cfg)
    return diary
