"""A small phantom competition, its cache, and a way to run training as its users do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from train.phantom import Competition, write_competition

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def competition(tmp_path_factory) -> Competition:
    folder = tmp_path_factory.mktemp("phantom") / "competition"
    return write_competition(
        folder, patients=16, test_patients=2, prevalence=0.3, contrast=1.0, size=(192, 150)
    )


@pytest.fixture(scope="session")
def small(competition) -> list[str]:
    """Settings that train in seconds."""
    return [
        f"data.dir={competition.folder}",
        "experiment=demo",
        "data.size=[96,64]",
        "model.arch=test_resnet",
        "trainer.epochs=2",
        "tracking=none",
    ]


@pytest.fixture
def train(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m MODULE …` in a folder of its own."""

    def run(
        *arguments: str, module: str = "train.run", code: int | None = 0, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", module, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | settings,
            capture_output=True,
            text=True,
        )
        assert code is None or done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def learn(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Train in this process, in a folder of its own; return the run's folder."""
    from hydra import compose, initialize_config_module

    from train.run import train

    monkeypatch.chdir(tmp_path)

    def run(*settings: str) -> Path:
        with initialize_config_module("train.conf", version_base="1.3"):
            cfg = compose("config", overrides=list(settings))
        return tmp_path / train(cfg)

    return run
