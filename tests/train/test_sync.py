"""Runs on their way: a folder, and real emulators of S3 and GCS over HTTP on loopback."""

import json
import uuid
from pathlib import Path

import pytest

from train import records, storage, sync, tracking
from train.errors import DataError, StorageError
from train.records import Record
from train.tracking import Tracker

RUN = {
    "format": 1,
    "run_id": "evil",
    "experiment": "e",
    "name": "n",
    "status": "FINISHED",
    "start": 1,
    "end": 2,
    "params": {},
    "tags": {},
    "metrics": {},
}


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


def contents(uri: str, scratch: Path) -> dict[str, Record]:
    """Return all runs of a store, their artifacts opened and digested."""
    with tracking.quietly():
        client = tracking.open_client(uri)
        stored = [
            records.read_stored(client, experiment, run, scratch / run.info.run_id)[0]
            for experiment, run in records.stored_runs(client)
        ]
    assert len({record.run_id for record in stored}) == len(stored)
    return {record.run_id: record for record in stored}


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
    assert sync.push(url, here) == sync.Transfer(runs=2)
    pulled = sync.pull(url, there)
    assert (pulled.runs, pulled.changed, pulled.files) == (2, 2, 4)
    assert sync.pull(url, there) == sync.Transfer(runs=2)
    ours, theirs = contents(here, tmp_path / "a"), contents(there, tmp_path / "b")
    assert ours == theirs
    assert {run.name for run in theirs.values()} == {"one", "two"}
    one = next(iter(theirs.values()))
    assert one.metrics["fold0/pfbeta"][1][2] == 0.1
    assert set(one.artifacts) == {"oof.csv", "pictures/page.png"}


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
    place.write_text(json.dumps(RUN | {"artifacts": {"../../x": {"sha256": "0", "bytes": 1}}}))
    with pytest.raises(DataError, match="outside its run"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))
    place.write_text(json.dumps({"format": 9}))
    with pytest.raises(DataError, match="format 9"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))
    place.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        sync.pull(str(tmp_path / "bucket"), store(tmp_path / "there"))


def test_a_field_that_is_wrong_is_named(tmp_path, store, here):
    """A run.json by hand, or of a version that never was."""
    bucket = tmp_path / "bucket"
    sync.push(str(bucket), here)
    path = next(bucket.glob("*/run.json"))
    whole = json.loads(path.read_text())
    for name, value, field in (
        ("status", None, "status"),
        ("metrics", {"pfbeta": [[0, 1]]}, "metrics.pfbeta"),
        ("artifacts", {"oof.csv": {"sha256": "0"}}, "artifacts.oof.csv.bytes"),
        ("params", {"lr": 0.1}, "params.lr"),
    ):
        path.write_text(json.dumps(whole | {name: value}))
        with pytest.raises(DataError, match=rf"run\.json cannot be used: the field {field} "):
            sync.pull(str(bucket), store(tmp_path / "there"))


def test_a_metric_that_is_nan_travels(tmp_path, store):
    """MLflow keeps it, and so does a run of another program that is pushed with ours."""
    here, there = (store(tmp_path / name) for name in ("here", "there"))
    with tracking.quietly():
        client = tracking.open_client(here)
        run = client.create_run(tracking.open_experiment(client, here, "other"), run_name="nan")
        client.log_metric(run.info.run_id, "loss", float("nan"), step=1)
        client.set_terminated(run.info.run_id)
    bucket = str(tmp_path / "bucket")
    assert sync.push(bucket, here).changed == 1
    assert sync.push(bucket, here).changed == 0
    assert sync.pull(bucket, there).changed == 1
    assert sync.pull(bucket, there).changed == 0


def test_an_old_mlruns_folder_is_left_to_mlflows_own_converter(tmp_path, store):
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    with pytest.raises(DataError, match="mlflow migrate-filestore --source DIR"):
        sync.pull(str(tmp_path / "mlruns"), store(tmp_path / "there"))


def test_the_command_line(here, bucket, tmp_path, monkeypatch, capsys, store):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "runs")
    sync.main(["push", bucket, "--uri", here])
    sync.main(["pull", bucket])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "2 runs, 2 new or changed, 4 files of 0.0 MiB"
    ] * 2
    assert (tmp_path / "runs" / "mlflow.db").exists()
    with pytest.raises(SystemExit) as ended:
        sync.main(["pull", str(tmp_path / "nowhere")])
    assert ended.value.code == DataError.exit_code
    assert "holds no runs" in capsys.readouterr().err
