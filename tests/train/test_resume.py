"""Killed at any moment, trained on: the same weights to the bit."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from train import checkpoint
from train.errors import ConfigError, StorageError

ROOT = Path(__file__).resolve().parents[2]
STOCHASTIC = [
    "model.drop_rate=0.3",
    "trainer.ema=0.9",
    "trainer.epochs=3",
    "trainer.accumulate=2",
    "trainer.batch=4",
    "trainer.save_steps=1",
    "model.metadata=[age,view]",
    "model.auxiliary=[view,BIRADS]",
]


def outcome(out: Path):
    found = checkpoint.load(next(out.glob("fold0_epoch*.pt")))
    return found, (out / "oof.csv").read_text()


def same(first, second) -> bool:
    return all(
        torch.equal(value, other[name])
        for weights, other in ((first.model, second.model), (first.ema, second.ema))
        for name, value in weights.items()
    )


def start(folder: Path, *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "train.run", *settings],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_result_is_the_same_after_kills_at_random_moments(learn, small, tmp_path):
    settings = [*small, *STOCHASTIC]
    learn(*settings, "name=whole")
    rng = random.Random(7)
    state = tmp_path / "runs" / "cut" / "fold0.state"
    kills = 0
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        child = start(tmp_path, *settings, "name=cut")
        while child.poll() is None:
            if state.exists() and state.stat().st_mtime_ns != before:
                time.sleep(rng.uniform(0, 0.5))
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        kills += child.wait() == -signal.SIGKILL
        child.stderr.close()
    assert kills
    learn(*settings, "name=cut")
    whole, cut = (outcome(tmp_path / "runs" / name) for name in ("whole", "cut"))
    assert same(whole[0], cut[0])
    assert whole[1] == cut[1]
    deterministic = {"images_per_s", "busy", "seconds"}
    for name in whole[0].metrics.keys() - deterministic:
        assert whole[0].metrics[name] == cut[0].metrics[name], name


def test_another_run_in_the_folder_is_refused_and_deleted_on_request(learn, small, tmp_path):
    out = learn(*small, "trainer.epochs=1")
    with pytest.raises(ConfigError, match=r"trainer.epochs \(was 1, is 2\)"):
        learn(*small)
    learn(*small, "restart=true", "trainer.epochs=1", "optimizer.lr=0.0005")
    assert "lr: 0.0005" in (out / "config.yaml").read_text()


@pytest.mark.slow
def test_two_processes_train_together(train, small, tmp_path):
    command = ["--standalone", "--nproc-per-node", "2", "-m", "train.run"]
    done = train(*command, *small, "trainer.batch=4", module="torch.distributed.run")
    assert re.search(r"2/2: loss", done.stderr)
    found, oof = outcome(tmp_path / "runs" / "demo")
    assert found.epoch in (0, 1)
    assert oof.count("\n") > 20


def test_a_disk_that_fills_up_stops_the_training_and_spares_the_checkpoint(learn, small):
    # The kernel refuses to write beyond this: a checkpoint fits, the state with Adam's does not.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"fold0\.state could not be written"):
            learn(*small)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    out = Path("runs/demo")
    assert checkpoint.load(next(out.glob("fold0_epoch00_*.pt"))).epoch == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    learn(*small)
    assert (out / "oof.csv").exists()
