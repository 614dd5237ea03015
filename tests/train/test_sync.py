"""Runs on their way: a folder, and real emulators of S3 and GCS over HTTP on loopback."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from train import records, storage, sync, tracking
from train.errors import DataError, StorageError
from train.tracking import TAG, Tracker


def write_run(folder: Path, name: str, uri: str) -> Tracker:
    """Track a small run as training does."""
    folder.mkdir(parents=True)
    (folder / "oof.csv").write_text("image_id,probability\n1,0.5\n")
    (folder / "page.png").write_bytes(b"\x89PNG" + bytes(1000))
    tracker = Tracker(folder, uri, "rsna-breast", name)
    tracker.params({"model.arch": "test_resnet", "trainer.epochs": 2})
    for epoch in range(2):
        tracker.metrics({"fold0/pfbeta": 0.1 * epoch, "fold0/loss": 1 / 3 - epoch}, epoch)
    tracker.artifact(folder / "oof.csv")
    tracker.artifact(folder / "page.png", "pictures")
    tracker.end()
    assert tracker.send()
    return tracker


def contents(uri: str, scratch: Path) -> dict[str, dict]:
    """Return all runs of a store as plain data, their artifacts opened and digested."""
    with tracking.quietly():
        client = tracking.open_client(uri)
        found = [
            records.read_stored(client, experiment, run, scratch / run.info.run_id).manifest()
            for experiment, run in records.stored_runs(client)
        ]
    assert len({record["run_id"] for record in found}) == len(found)
    return {record["run_id"]: record for record in found}


@pytest.fixture(scope="module")
def here(tmp_path_factory, store) -> str:
    """A store with two runs."""
    folder = tmp_path_factory.mktemp("here")
    uri = store(folder)
    for name in ("one", "two"):
        write_run(folder / name, name, uri)
    return uri


@pytest.fixture
def bucket(tmp_path) -> str:
    return str(tmp_path / "bucket")


@pytest.fixture(params=["folder", "s3", "gs"])
def url(request, bucket) -> str:
    if request.param == "folder":
        return bucket
    return f"{request.getfixturevalue(request.param)}/{uuid.uuid4().hex}"


def test_runs_come_back_as_they_were(here, url, tmp_path, store):
    there = store(tmp_path / "there")
    pushed = sync.push(url, here)
    assert (pushed.runs, pushed.changed, pushed.files) == (2, 2, 4)
    assert sync.push(url, here) == sync.Brought(runs=2, changed=0, files=0, bytes=0)
    pulled = sync.pull(url, there)
    assert (pulled.runs, pulled.changed, pulled.files) == (2, 2, 4)
    assert sync.pull(url, there) == sync.Brought(runs=2, changed=0, files=0, bytes=0)
    ours, theirs = contents(here, tmp_path / "a"), contents(there, tmp_path / "b")
    assert ours == theirs
    assert {run["name"] for run in theirs.values()} == {"one", "two"}
    one = next(iter(theirs.values()))
    assert one["metrics"]["fold0/pfbeta"][1][2] == 0.1
    assert set(one["artifacts"]) == {"oof.csv", "pictures/page.png"}


def test_a_run_that_went_on_is_brought_up_to_date(bucket, tmp_path, store):
    here, there = (store(tmp_path / name) for name in ("here", "there"))
    tracker = write_run(tmp_path / "here" / "run", "run", here)
    sync.push(bucket, here)
    sync.pull(bucket, there)
    tracker.metrics({"fold0/pfbeta": 0.9}, 2)
    (tracker.out / "more.txt").write_text("more")
    tracker.artifact(tracker.out / "more.txt")
    assert tracker.send()
    assert sync.push(bucket, here).files == 1
    assert sync.pull(bucket, there).files == 1
    assert contents(here, tmp_path / "a") == contents(there, tmp_path / "b")


def test_an_altered_artifact_is_refused(here, bucket, tmp_path, store):
    sync.push(bucket, here)
    run_id = next(iter(contents(here, tmp_path / "a")))
    place = f"{bucket}/{run_id}/artifacts/oof.csv"
    storage.write(place, storage.read(place).replace(b"0.5", b"0.6"))
    with pytest.raises(DataError, match=r"oof\.csv has \d+ bytes and another sha256"):
        sync.pull(bucket, store(tmp_path / "there"))


def test_what_holds_no_runs_is_refused(bucket, tmp_path, store):
    with pytest.raises(DataError, match="holds no runs"):
        sync.pull(bucket, store(tmp_path / "there"))


def test_a_bucket_that_is_not_there_is_named(s3, here, tmp_path):
    with pytest.raises(StorageError, match="s3://nowhere"):
        sync.push("s3://nowhere/runs", here)


def test_an_artifact_outside_its_run_is_refused(tmp_path, store):
    place = tmp_path / "bucket" / "evil" / "run.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"format": 1, "artifacts": {"../../x": {}}}))
    with pytest.raises(DataError, match="outside its run"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))
    place.write_text(json.dumps({"format": 9}))
    with pytest.raises(DataError, match="format 9"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))
    place.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))


def write_mlruns(folder: Path) -> None:
    """Let MLflow's own file store write an old folder, in a process where that is allowed."""
    code = """
import mlflow, pathlib, warnings
warnings.simplefilter("ignore")
mlflow.set_tracking_uri("file:mlruns")
mlflow.set_experiment("old")
with mlflow.start_run(run_name="first"):
    mlflow.log_params({"arch": "efficientnet"})
    for step in range(3):
        mlflow.log_metric("valid/pf1", step / 10, step=step)
    pathlib.Path("oof.csv").write_text("a")
    mlflow.log_artifact("oof.csv", "tables")
with mlflow.start_run(run_name="second"):
    mlflow.log_metric("loss", 1.5)
"""
    allowed = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true"}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=allowed, check=True)


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    write_mlruns(folder)
    (folder / "oof.csv").unlink()
    moved = folder / "elsewhere"  # so that no absolute path in it is true any more
    moved.mkdir()
    (folder / "mlruns").rename(moved / "mlruns")
    return moved


def test_an_old_mlruns_folder_is_converted(old, url, tmp_path, store):
    there = store(tmp_path / "there")
    if "://" in url:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.put(str(old / "mlruns"), f"{path}/mlruns", recursive=True)
    else:
        shutil.copytree(old, url)
    assert sync.pull(url, there).changed == 2
    assert sync.pull(url, there).changed == 0
    runs = {run["name"]: run for run in contents(there, tmp_path / "scratch").values()}
    assert set(runs) == {"first", "second"}
    first = runs["first"]
    assert (first["experiment"], first["status"]) == ("old", "FINISHED")
    assert first["params"] == {"arch": "efficientnet"}
    assert [point[2] for point in first["metrics"]["valid/pf1"]] == [0.0, 0.1, 0.2]
    assert list(first["artifacts"]) == ["tables/oof.csv"]
    assert first["tags"][TAG] == first["run_id"]


def test_the_command_line(here, bucket, tmp_path, monkeypatch, capsys, store):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "runs")
    sync.main(["push", bucket, "--uri", here])
    sync.main(["pull", bucket])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "2 runs, 2 new or changed, 4 files of 0.0 MiB"
    ] * 2
    assert (tmp_path / "runs" / "mlflow.db").exists()
    with pytest.raises(SystemExit) as ended:
        sync.main(["pull", str(tmp_path / "nowhere")])
    assert ended.value.code == DataError.exit_code
    assert "holds no runs" in capsys.readouterr().err
