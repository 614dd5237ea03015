"""A tracked run as plain data: read from an MLflow store, and written to one.

A record holds what a run is known by, not where it lies: MLflow keeps absolute paths, so a
copied database has lost its artifacts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from train import fields
from train.tracking import TAG, find_run, open_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FORMAT = 1
_BATCH = 900  # metrics that MLflow takes at once, with some room
Point = tuple[int, int, float]  # step, ms since 1970, value


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file of a run, by its content."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run; `artifacts` maps each path in the run to what lies there."""

    run_id: str
    experiment: str
    name: str
    status: str
    start: int | None  # ms since 1970
    end: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, tuple[Point, ...]]
    artifacts: Mapping[str, Artifact]

    def as_dict(self) -> dict[str, object]:
        """Return what run.json holds."""
        return {"format": FORMAT, **asdict(self)}


def parse(content: object) -> Record:
    """Return what a run.json of this format holds. Raises FieldError."""
    values = fields.mapping("run.json", content)
    return Record(
        run_id=fields.text("run_id", values.get("run_id")),
        experiment=fields.text("experiment", values.get("experiment")),
        name=fields.text("name", values.get("name")),
        status=fields.text("status", values.get("status")),
        start=fields.whole_or_none("start", values.get("start")),
        end=fields.whole_or_none("end", values.get("end")),
        params=_texts("params", values.get("params")),
        tags=_texts("tags", values.get("tags")),
        metrics={
            name: _points(f"metrics.{name}", points)
            for name, points in fields.mapping("metrics", values.get("metrics")).items()
        },
        artifacts={
            path: _artifact(f"artifacts.{path}", about)
            for path, about in fields.mapping("artifacts", values.get("artifacts")).items()
        },
    )


def _texts(name: str, value: object) -> dict[str, str]:
    pairs = fields.mapping(name, value).items()
    return {key: fields.text(f"{name}.{key}", item) for key, item in pairs}


def _points(name: str, value: object) -> tuple[Point, ...]:
    points = [fields.numbers(name, point) for point in fields.items(name, value)]
    if any(len(point) != 3 for point in points):
        raise fields.FieldError(name, value, "points of step, time and value")
    return tuple((int(step), int(time), number) for step, time, number in points)


def _artifact(name: str, value: object) -> Artifact:
    about = fields.mapping(name, value)
    return Artifact(
        sha256=fields.text(f"{name}.sha256", about.get("sha256")),
        bytes=fields.whole(f"{name}.bytes", about.get("bytes")),
    )


def describe(path: Path) -> Artifact:
    """Return a file's digest and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(sha256=digest, bytes=path.stat().st_size)


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


def read_stored(
    client: MlflowClient, experiment: str, run: Run, scratch: Path
) -> tuple[Record, Mapping[str, Path]]:
    """Return a store's run, and its artifacts as they were fetched into `scratch`.

    A run without an id of this project's gets MLflow's own as such, in the store too.
    """
    mlflow_id = run.info.run_id
    if TAG not in run.data.tags:
        client.set_tag(mlflow_id, TAG, mlflow_id)
    run_id = run.data.tags.get(TAG, mlflow_id)
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    files = _fetch_artifacts(client, mlflow_id, scratch)
    record = Record(
        run_id=run_id,
        experiment=experiment,
        name=run.info.run_name,
        status=run.info.status,
        start=run.info.start_time,
        end=run.info.end_time,
        params=dict(sorted(run.data.params.items())),
        tags=dict(sorted((tags | {TAG: run_id}).items())),
        metrics={name: _history(client, mlflow_id, name) for name in sorted(run.data.metrics)},
        artifacts={path: describe(file) for path, file in sorted(files.items())},
    )
    return record, files


def _history(client: MlflowClient, mlflow_id: str, name: str) -> tuple[Point, ...]:
    history = client.get_metric_history(mlflow_id, name)
    return tuple(sorted((point.step, point.timestamp, point.value) for point in history))


def _fetch_artifacts(client: MlflowClient, mlflow_id: str, scratch: Path) -> dict[str, Path]:
    scratch.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    folders = [""]
    while folders:
        for entry in client.list_artifacts(mlflow_id, folders.pop() or None):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                fetched = client.download_artifacts(mlflow_id, entry.path, str(scratch))
                files[entry.path] = Path(fetched)
    return files


def write_stored(client: MlflowClient, uri: str, record: Record, files: Mapping[str, Path]) -> None:
    """Bring a store up to a record: the run made if absent, what it lacks added.

    `files` are those artifacts that the store does not have.
    """
    from mlflow.entities import Metric, Param, RunTag

    experiment = open_experiment(client, uri, record.experiment)
    mlflow_id = find_run(client, experiment, record.run_id)
    if mlflow_id is None:
        made = client.create_run(
            experiment,
            start_time=record.start,
            tags={**record.tags, TAG: record.run_id},
            run_name=record.name,
        )
        mlflow_id = made.info.run_id
    params = [Param(name, value) for name, value in record.params.items()]
    for start in range(0, len(params), 100):
        client.log_batch(mlflow_id, params=params[start : start + 100])
    client.log_batch(mlflow_id, tags=[RunTag(name, text) for name, text in record.tags.items()])
    points = [
        Metric(name, value, time, step)
        for name, history in record.metrics.items()
        for step, time, value in history
    ]
    for start in range(0, len(points), _BATCH):
        client.log_batch(mlflow_id, metrics=points[start : start + _BATCH])
    for path, file in files.items():
        folder = path.rpartition("/")[0]
        client.log_artifact(mlflow_id, str(file), folder or None)
    if record.status != "RUNNING":
        client.set_terminated(mlflow_id, record.status, end_time=record.end)
