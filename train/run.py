"""Train: competition folder → checkpoints, oof.csv and metrics.

    python -m train.run data.dir=DIR experiment=strong trainer.epochs=10
    torchrun --nproc-per-node 2 -m train.run data.dir=DIR experiment=strong

Run it again with the same settings after an interruption, and it goes on where it stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from train.errors import TrainError

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def start(cfg: DictConfig) -> None:
    """Train as configured; an expected error becomes a message and an exit code."""
    from inference.errors import RunError

    try:
        train(cfg)
    except (TrainError, RunError) as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def train(cfg: DictConfig) -> Path:
    """Train the configured folds and return the run's folder."""
    from train import folds, outcome, table
    from train.fold import train_fold
    from train.images import open_images
    from train.processes import Processes
    from train.run_logger import open_logger

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
        logger = open_logger(cfg, out, processes)
        for fold in outcome.chosen_folds(cfg):
            train_fold(cfg, fold, rows, images, out, processes, logger)

        # --- what came of it ---
        if processes.first:
            logger.end_run(outcome.conclude(cfg, out))
        return out
    finally:
        processes.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line asks for; an unknown key is answered with the nearest ones."""
    from train.settings import explain_unknown

    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if complaint := explain_unknown(arguments):
        print(f"train: {complaint}", file=sys.stderr)
        sys.exit(2)
    # hydra reads the process's command line, and there alone.
    sys.argv[1:] = arguments
    start()


if __name__ == "__main__":
    main()
