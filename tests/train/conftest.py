"""A small phantom competition, ways to run training, and buckets on loopback."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
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


def start_server(command: list[str], address: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return process
        except urllib.error.HTTPError:
            return process
        except OSError:
            assert process.poll() is None
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"{command} does not answer")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def s3():
    """A bucket on moto's S3 server."""
    import fsspec

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = start_server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], address
    )
    settings = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("runs-of-ours")
        yield "s3://runs-of-ours"
        fsspec.filesystem("s3").clear_instance_cache()
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def gs():
    """A bucket on gcp-storage-emulator."""
    import gcsfs

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1"]
    server = start_server([*command, "--port", str(port), "--in-memory"], address)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks beyond the emulator
        gcsfs.GCSFileSystem(project="test").mkdir("runs-of-ours")
        yield "gs://runs-of-ours"
        gcsfs.GCSFileSystem.clear_instance_cache()
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """MLflow's database as it sets it up, once: that takes seconds."""
    from train import tracking

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with tracking.quietly():
        tracking.open_client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def store(empty_store) -> Callable[[Path], str]:
    """Put an empty store into a folder; return its address, the default one of runs there."""
    from train import tracking

    def make(folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty_store, folder / "mlflow.db")
        return tracking.default_uri(folder)

    return make
