"""Train: competition folder → checkpoints, oof.csv and metrics.

    python -m train.run data.dir=DIR experiment=strong trainer.epochs=10
    torchrun --nproc-per-node 2 -m train.run data.dir=DIR experiment=strong

Run it again with the same settings after an interruption and it goes on where it stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from train.errors import TrainError

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def start(cfg: DictConfig) -> None:
    """Train as configured; say what is wrong in a sentence and with an exit code."""
    from inference.errors import RunError

    try:
        train(cfg)
    except (TrainError, RunError) as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def train(cfg: DictConfig) -> Path:
    """Train all folds asked for and return the folder with what came of it."""
    from train import folds, outcome, table
    from train.diary import open_diary
    from train.fold import train_fold
    from train.images import open_images
    from train.processes import Processes

    processes = Processes(cfg.trainer.device)
    try:
        # --- what to learn from ---
        outcome.check(cfg)
        out = outcome.open_folder(cfg, processes)
        rows = table.read(cfg.data.dir)
        images = open_images(cfg, rows, processes)
        rows = images.readable(rows)
        rows["fold"] = folds.assign(rows, cfg.data.folds, cfg.seed)

        # --- learn, fold by fold ---
        diary = open_diary(cfg, out, processes)
        for fold in outcome.chosen_folds(cfg):
            train_fold(cfg, fold, rows, images, out, processes, diary)

        # --- what came of it ---
        if processes.first:
            diary.end(outcome.conclude(cfg, out))
        return out
    finally:
        processes.close()


def main(arguments: list[str] | None = None) -> None:
    """Start hydra, which reads the command line; an unknown key is answered with near ones."""
    from train.settings import explain_unknown

    arguments = sys.argv[1:] if arguments is None else arguments
    complaint = explain_unknown(arguments)
    if complaint:
        print(f"train: {complaint}", file=sys.stderr)
        sys.exit(2)
    start()


if __name__ == "__main__":
    main()
