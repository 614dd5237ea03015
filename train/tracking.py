"""Tracking with MLflow that a training never waits for.

Whatever is to be tracked is first written to the run's folder, then sent: to a SQLite store
beside the runs by default, or to any MLflow server. A server that goes away costs nothing but
a delay: the next epoch tries again, and so does

    python -m train.tracking send runs/NAME

A run is known by a tag of its own, `rsna.run_id`, which is in its checkpoints too: an MLflow
store gives out ids of its own and cannot take over another's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from inference.boot.fields import Plain
from train import fields
from train.errors import StorageError, TrainError
from train.fields import FieldError
from train.storage import write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "rsna.run_id"
SPOOL, SENT = "tracking.jsonl", "tracking.json"
_BATCH = 100  # parameters that MLflow takes at once


def default_uri(runs: Path) -> str:
    """Return the store beside the runs."""
    return f"sqlite:///{(runs / 'mlflow.db').resolve()}"


def open_client(uri: str) -> MlflowClient:
    """Return a client that gives up on an absent server within seconds."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):  # they report every step in setting up a database
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri)


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment, made if absent; a SQLite store's artifacts lie beside it."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    artifacts = None
    if uri.startswith("sqlite:///"):
        artifacts = (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=artifacts))


def find_run(client: MlflowClient, experiment_id: str, run_id: str) -> str | None:
    """Return MLflow's id of the run with our id, or None."""
    runs = client.search_runs([experiment_id], f"tags.`{TAG}` = '{run_id}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


@contextmanager
def quietly() -> Iterator[None]:
    """Keep MLflow's warnings about its own use of other libraries from the training's output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something to be tracked."""

    kind: str  # start, params, tags, metrics, artifact, end
    content: Plain
    step: int = 0
    time: int = 0  # ms since 1970


@dataclass(frozen=True, kw_only=True)
class State:
    """How much of a run's events has been sent, and where to."""

    run_id: str
    uri: str | None
    sent: int = 0
    mlflow_run_id: str | None = None


class Tracker:
    """One run's events: written down in its folder, and sent when its store can be reached."""

    def __init__(self, out: Path, uri: str | None, experiment: str, name: str) -> None:
        """Open the run's spool, or begin it. `uri` None: nothing is ever sent."""
        self.out, self.uri, self.experiment, self.name = out, uri, experiment, name
        self._away = False
        state = out / SENT
        if state.exists():
            self.state = read_state(state)
            # Metrics of an epoch that is trained again after a kill are known already.
            self._known = {_identity(event) for event in self._events()}
        else:
            self.state = State(run_id=uuid.uuid4().hex, uri=uri)
            self._known = set()
            self._save_state()
            self._write("start", {"experiment": experiment, "name": name})

    @property
    def run_id(self) -> str:
        """The run's own id."""
        return self.state.run_id

    def params(self, flat: Mapping[str, Plain]) -> None:
        """Track settings."""
        self._write("params", {key: str(value) for key, value in flat.items()})

    def tags(self, tags: Mapping[str, str]) -> None:
        """Track what the run can be found by."""
        self._write("tags", dict(tags))

    def metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Track numbers; those that are undefined are left out."""
        defined = {name: value for name, value in metrics.items() if value == value}
        self._write("metrics", defined, step)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Track a file of the run's folder."""
        self._write("artifact", [str(path.relative_to(self.out)), folder])

    def end(self) -> None:
        """Track that the run is finished."""
        self._write("end", "FINISHED")

    def send(self) -> bool:
        """Send what has not been sent; False where the store cannot be reached."""
        if self.uri is None:
            return True
        events = self._events()
        if self.state.sent >= len(events):
            return True
        with quietly():
            return self._send(events)

    def _send(self, events: list[Event]) -> bool:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        assert self.uri is not None
        try:
            client = open_client(self.uri)
            for event in events[self.state.sent :]:
                self._send_event(client, event)
                self.state = replace(self.state, sent=self.state.sent + 1)
        except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
            self._complain(error)
            return False
        finally:
            self._save_state()
        self._away = False
        return True

    def _complain(self, error: Exception) -> None:
        if not self._away:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(
                f"train: {self.uri} cannot be reached ({first[:200]}). Training goes on; its "
                f"metrics are kept in {self.out / SPOOL} and sent later.",
                file=sys.stderr,
            )
        self._away = True

    def _send_event(self, client: MlflowClient, event: Event) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if event.kind == "start":
            assert self.uri is not None
            experiment = open_experiment(client, self.uri, event.content["experiment"])
            run = find_run(client, experiment, self.run_id)
            if run is None:
                made = client.create_run(
                    experiment,
                    start_time=event.time,
                    tags={TAG: self.run_id},
                    run_name=event.content["name"],
                )
                run = made.info.run_id
            self.state = replace(self.state, mlflow_run_id=run)
            return
        run = self.state.mlflow_run_id
        if event.kind == "params":
            items = [Param(key, value[:6000]) for key, value in event.content.items()]
            for start in range(0, len(items), _BATCH):
                client.log_batch(run, params=items[start : start + _BATCH])
        elif event.kind == "tags":
            client.log_batch(run, tags=[RunTag(key, str(v)) for key, v in event.content.items()])
        elif event.kind == "metrics":
            metrics = [Metric(k, v, event.time, event.step) for k, v in event.content.items()]
            client.log_batch(run, metrics=metrics)
        elif event.kind == "artifact":
            path, folder = event.content
            if (self.out / path).exists():
                client.log_artifact(run, str(self.out / path), folder or None)
        elif event.kind == "end":
            client.set_terminated(run, event.content, end_time=event.time)

    def _write(self, kind: str, content: Plain, step: int = 0) -> None:
        event = Event(kind=kind, content=content, step=step, time=int(time.time() * 1000))
        if _identity(event) in self._known:
            return
        self._known.add(_identity(event))
        try:
            with (self.out / SPOOL).open("ab+") as spool:
                if spool.tell():
                    spool.seek(-1, os.SEEK_END)
                    if spool.read() != b"\n":
                        spool.write(b"\n")  # after a line that a kill cut short
                spool.write(json.dumps(vars(event)).encode() + b"\n")
        except OSError as error:
            raise StorageError(f"{self.out / SPOOL} could not be written: {error}.") from error

    def _events(self) -> list[Event]:
        path = self.out / SPOOL
        events = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                events.append(Event(**json.loads(line)))
            except json.JSONDecodeError:
                continue  # a line that a kill cut short; its event is written again
        return events

    def _save_state(self) -> None:
        write_atomically(self.out / SENT, json.dumps(asdict(self.state)).encode())


def _identity(event: Event) -> str:
    """Return what makes an event the same one: for metrics their names and step."""
    content = sorted(event.content) if event.kind == "metrics" else event.content
    if event.kind == "artifact":
        content = [*content, event.step]
    return json.dumps([event.kind, content, event.step])


def main(arguments: Sequence[str] | None = None) -> None:
    """Send what could not be sent while a run trained."""
    parser = argparse.ArgumentParser(prog="python -m train.tracking", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=["send"])
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--uri", help="the MLflow store (default: the run's own)")
    options = parser.parse_args(arguments)
    try:
        tracker = reopen(options.run, options.uri)
        sent = tracker.send()
    except TrainError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{options.run}: {'everything was sent' if sent else 'not everything could be sent'}")
    sys.exit(0 if sent else StorageError.exit_code)


def reopen(out: Path, uri: str | None = None) -> Tracker:
    """Open the spool of a run that exists; StorageError where there is none."""
    if not (out / SENT).exists():
        raise StorageError(
            f"{out} holds no {SENT}: it is not a run's folder, or the run was not tracked."
        )
    return Tracker(out, uri or read_state(out / SENT).uri, "", "")


def read_state(path: Path) -> State:
    """Return a run's state; StorageError where the file is damaged."""
    try:
        values = fields.mapping("state", json.loads(path.read_text()))
        return State(
            run_id=fields.text("run_id", values.get("run_id")),
            uri=fields.text_or_none("uri", values.get("uri")),
            sent=fields.whole("sent", values.get("sent")),
            mlflow_run_id=fields.text_or_none("mlflow_run_id", values.get("mlflow_run_id")),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, FieldError) as error:
        raise StorageError(
            f"{path} is damaged ({error}). Delete it and {SPOOL} beside it; the run is then "
            "tracked anew under another id."
        ) from error


if __name__ == "__main__":
    main()
