"""Tracking: everything arrives, once, whatever the server does meanwhile."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from train import tracking
from train.tracking import TAG, Tracker


def arrived(uri: str, run_id: str, experiment: str = "rsna-breast"):
    """Return a run with our id, its metrics' histories and its artifacts, as the store has them."""
    with tracking.quietly():
        client = tracking.open_client(uri)
        found = client.search_runs(
            [client.get_experiment_by_name(experiment).experiment_id],
            f"tags.`{TAG}` = '{run_id}'",
        )
        assert len(found) == 1
        run = found[0]
        points_of = {
            name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics
        }
        histories = {
            name: [(p.step, p.value) for p in points] for name, points in points_of.items()
        }
        folders = ["", "checkpoints", "pictures"]
        artifacts = {
            entry.path
            for folder in folders
            for entry in client.list_artifacts(run.info.run_id, folder)
            if not entry.is_dir
        }
    return run, histories, artifacts


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def server(folder: Path, port: int, store: str | None = None) -> Iterator[str]:
    """Run MLflow's server on loopback."""
    folder.mkdir(exist_ok=True)
    store = store or f"sqlite:///{folder / 'server.db'}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", store, "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
        log.close()


def test_a_run_arrives_in_the_local_store(learn, small, store, tmp_path):
    store(tmp_path / "runs")
    out = learn(*small, "tracking=local")
    tracker = tracking.reopen(out)
    run, histories, artifacts = arrived(tracking.default_uri(out.parent), tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.arch"] == "test_resnet"
    assert run.data.params["aug.scale"] == "[0.9, 1.1]"
    assert set(run.data.tags) >= {TAG, "git.commit", "git.dirty"}
    assert [step for step, _ in histories["fold0/pfbeta"]] == [0, 1]
    assert "oof_mean/roc_auc_low" in histories
    checkpoint = next(out.glob("fold0_epoch*.pt")).name
    assert artifacts >= {
        "config.yaml",
        "oof.csv",
        "metrics.json",
        f"checkpoints/{checkpoint}",
        "pictures/fold0_sees.png",
        "pictures/fold0_history.png",
        "pictures/oof.png",
    }
    from train import checkpoint as checkpoints

    assert checkpoints.load(out / checkpoint).run_id == tracker.run_id


def test_an_epoch_told_twice_is_tracked_once(tmp_path, store):
    uri = store(tmp_path)
    for _ in range(2):  # a run that was killed and is taken up
        tracker = Tracker(tmp_path, uri, "rsna-breast", "run")
        tracker.params({"seed": 0})
        tracker.metrics({"loss": 0.5, "undefined": float("nan")}, step=3)
        assert tracker.send()
    with (tmp_path / tracking.SPOOL).open("a") as spool:
        spool.write('{"kind": "metr')  # cut short by a kill
    tracker = Tracker(tmp_path, uri, "rsna-breast", "run")
    tracker.metrics({"loss": 0.25}, step=4)
    assert tracker.send()
    # The state was lost: everything was sent again, and nothing is there twice.
    state = (tmp_path / tracking.SENT).read_text()
    (tmp_path / tracking.SENT).write_text(state.replace('"sent": 4', '"sent": 0'))
    assert tracking.reopen(tmp_path).state.sent == 0
    assert tracking.reopen(tmp_path).send()
    run, histories, _ = arrived(uri, tracker.run_id)
    assert histories == {"loss": [(3, 0.5), (4, 0.25)]}
    assert run.data.params == {"seed": "0"}


def test_training_goes_on_without_its_server(learn, small, capsys, tmp_path, store):
    uri = f"http://127.0.0.1:{free_port()}"
    out = learn(*small, f"tracking.uri={uri}", "trainer.epochs=1")
    assert (out / "oof.csv").exists()
    output = capsys.readouterr()
    assert output.err.count("cannot be reached") == 1
    assert f"python -m train.tracking send {out.relative_to(tmp_path)}" in output.err
    # Later, to a store that is there.
    local = store(tmp_path)
    tracker = tracking.reopen(out, local)
    assert tracker.send()
    run, histories, artifacts = arrived(local, tracker.run_id)
    assert run.info.status == "FINISHED"
    assert len(histories["fold0/pfbeta"]) == 1
    assert "oof.csv" in artifacts


def test_a_folder_without_a_run_has_nothing_to_send(tmp_path, train):
    done = train("send", str(tmp_path), module="train.tracking", code=8)
    assert "not a run's folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_server_that_comes_back_gets_everything(learn, small, tmp_path, train):
    port = free_port()
    out = learn(*small, f"tracking.uri=http://127.0.0.1:{port}", "trainer.epochs=1")
    with server(tmp_path / "server", port) as uri:
        done = train("send", str(out), module="train.tracking")
        assert "everything was sent" in done.stdout
        run, histories, artifacts = arrived(uri, tracking.reopen(out).run_id)
        assert run.info.status == "FINISHED"
        assert len(histories["fold0/pfbeta"]) == 1
        assert "oof.csv" in artifacts


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium: apt install chromium")
def test_mlflows_page_shows_runs_metrics_and_pictures(learn, small, tmp_path):
    out = learn(*small, "tracking=local")
    uri = tracking.default_uri(out.parent)
    run, _, _ = arrived(uri, tracking.reopen(out).run_id)

    def page(path: str) -> str:
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        command += [f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=1600,1200"]
        command += ["--virtual-time-budget=60000", "--dump-dom", f"{address}/#{path}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=180).stdout

    with server(tmp_path / "server", free_port(), uri) as address:
        runs = page(f"/experiments/{run.info.experiment_id}/runs")
        assert "demo" in runs
        one = f"/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        overview = page(one)
        assert "fold0/roc_auc" in overview
        assert "model.arch" in overview
        pictures = page(f"{one}/artifacts/pictures/fold0_history.png")
        assert "fold0_history.png" in pictures
        asked = f"path=pictures/fold0_history.png&run_uuid={run.info.run_id}"
        with urllib.request.urlopen(f"{address}/get-artifact?{asked}") as answer:
            assert answer.read() == (out / "fold0_history.png").read_bytes()
