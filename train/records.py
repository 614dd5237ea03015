"""A tracked run as plain data: read from an MLflow store or an old `mlruns` folder, and written.

A record holds what a run is known by, not where it lies: MLflow keeps absolute paths, so a
copied database has lost its artifacts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import DataError
from train.tracking import TAG, find_run, open_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FORMAT = 1
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_BATCH = 900  # metrics that MLflow takes at once, with some room


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run: `artifacts` maps each path in the run to a file here."""

    run_id: str
    experiment: str
    name: str
    status: str
    start: int
    end: int | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[list[float]]]  # name → [step, ms since 1970, value] in order
    artifacts: dict[str, Path]

    def manifest(self) -> dict[str, Any]:
        """Return the record as JSON holds it: artifacts by digest and size."""
        plain = {name: value for name, value in vars(self).items() if name != "artifacts"}
        files = {
            path: {"sha256": digest(file), "bytes": file.stat().st_size}
            for path, file in sorted(self.artifacts.items())
        }
        return {"format": FORMAT, **plain, "artifacts": files}


def digest(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- an MLflow store -----------------------------------------------------------------------


def stored_runs(client: MlflowClient) -> Iterator[tuple[str, Run]]:
    """Yield every run of a store with its experiment's name."""
    for experiment in client.search_experiments():
        token = None
        while True:
            page = client.search_runs([experiment.experiment_id], page_token=token)
            for run in page:
                yield experiment.name, run
            token = page.token
            if not token:
                break


def read_stored(client: MlflowClient, experiment: str, run: Run, scratch: Path) -> Record:
    """Return a store's run as a record; its artifacts are fetched into `scratch`.

    A run that has no id of ours gets MLflow's own as such, in the store too.
    """
    mlflow_id = run.info.run_id
    if TAG not in run.data.tags:
        client.set_tag(mlflow_id, TAG, mlflow_id)
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    return Record(
        run_id=run.data.tags.get(TAG, mlflow_id),
        experiment=experiment,
        name=run.info.run_name,
        status=run.info.status,
        start=run.info.start_time,
        end=run.info.end_time,
        params=dict(sorted(run.data.params.items())),
        tags=dict(sorted((tags | {TAG: run.data.tags.get(TAG, mlflow_id)}).items())),
        metrics={
            name: sorted(
                [point.step, point.timestamp, point.value]
                for point in client.get_metric_history(mlflow_id, name)
            )
            for name in sorted(run.data.metrics)
        },
        artifacts=_fetch_artifacts(client, mlflow_id, scratch),
    )


def _fetch_artifacts(client: MlflowClient, mlflow_id: str, scratch: Path) -> dict[str, Path]:
    scratch.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    folders = [""]
    while folders:
        for entry in client.list_artifacts(mlflow_id, folders.pop() or None):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                place = client.download_artifacts(mlflow_id, entry.path, str(scratch))
                found[entry.path] = Path(place)
    return found


def write_stored(client: MlflowClient, uri: str, record: Record) -> None:
    """Bring a store up to a record: the run made if absent, what it lacks added."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = open_experiment(client, uri, record.experiment)
    mlflow_id = find_run(client, experiment, record.run_id)
    if mlflow_id is None:
        made = client.create_run(
            experiment,
            start_time=record.start,
            tags=record.tags | {TAG: record.run_id},
            run_name=record.name,
        )
        mlflow_id = made.info.run_id
    params = [Param(name, value) for name, value in record.params.items()]
    for start in range(0, len(params), 100):
        client.log_batch(mlflow_id, params=params[start : start + 100])
    client.log_batch(mlflow_id, tags=[RunTag(name, text) for name, text in record.tags.items()])
    points = [
        Metric(name, value, int(time), int(step))
        for name, history in record.metrics.items()
        for step, time, value in history
    ]
    for start in range(0, len(points), _BATCH):
        client.log_batch(mlflow_id, metrics=points[start : start + _BATCH])
    for path, file in record.artifacts.items():
        folder = path.rpartition("/")[0]
        client.log_artifact(mlflow_id, str(file), folder or None)
    if record.status != "RUNNING":
        client.set_terminated(mlflow_id, record.status, end_time=record.end)


# --- an old mlruns folder ------------------------------------------------------------------


def is_mlruns(folder: Path) -> bool:
    """Tell whether a folder is one that MLflow's file store left."""
    return any(folder.glob("*/meta.yaml"))


def read_mlruns(folder: Path) -> Iterator[Record]:
    """Yield the runs of an old `mlruns` folder, wherever it was written.

    MLflow refuses such a folder since 3.13, and the artifacts' places in it are another
    machine's; the files themselves say all there is.
    """
    for about in sorted(folder.glob("*/meta.yaml")):
        experiment = str(_yaml(about).get("name", about.parent.name))
        for place in sorted(about.parent.glob("*/meta.yaml")):
            yield _read_old_run(place.parent, experiment)


def _read_old_run(folder: Path, experiment: str) -> Record:
    about = _yaml(folder / "meta.yaml")
    run_id = str(about.get("run_id") or about.get("run_uuid") or folder.name)
    tags = _texts(folder / "tags")
    status = about.get("status", 3)
    artifacts = folder / "artifacts"
    return Record(
        run_id=run_id,
        experiment=experiment,
        name=str(about.get("run_name") or tags.get("mlflow.runName") or run_id[:8]),
        status=_STATUS.get(status, str(status)) if isinstance(status, int) else str(status),
        start=int(about["start_time"]),
        end=None if about.get("end_time") is None else int(about["end_time"]),
        params=_texts(folder / "params"),
        tags={k: v for k, v in tags.items() if not k.startswith("mlflow.")} | {TAG: run_id},
        metrics={
            name: sorted(_old_point(line, name) for line in text.splitlines() if line.strip())
            for name, text in _texts(folder / "metrics").items()
        },
        artifacts={
            path.relative_to(artifacts).as_posix(): path
            for path in sorted(artifacts.rglob("*"))
            if path.is_file()
        },
    )


def _old_point(line: str, name: str) -> list[float]:
    words = line.split()
    try:
        time, value = int(words[0]), float(words[1])
        return [int(words[2]) if len(words) > 2 else 0, time, value]
    except (ValueError, IndexError) as error:
        raise DataError(f"Metric {name} of an old run has the line {line!r}.") from error


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise DataError(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} does not describe a run or an experiment.")
    return found
