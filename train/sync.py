"""Copy runs from machine to machine, through a bucket or a folder.

    python -m train.sync push gs://BUCKET/runs
    python -m train.sync pull gs://BUCKET/runs

Files that the other side has are not sent again, what arrives is verified by its sha256, and a
run's artifacts open after the pull as they did before.

    URL/<run id>/run.json           what the run is; written last, so it says the rest is whole
    URL/<run id>/artifacts/PATH
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from train import records, storage
from train.errors import DataError, StorageError, TrainError
from train.fields import FieldError
from train.records import Artifact, Record
from train.tracking import default_uri, find_run, open_client, open_experiment, quietly

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What a push or pull did, to one run or to several."""

    runs: int = 0  # seen
    changed: int = 0
    files: int = 0  # transferred
    bytes: int = 0

    def __add__(self, other: Transfer) -> Transfer:
        """Return both together."""
        return Transfer(
            runs=self.runs + other.runs,
            changed=self.changed + other.changed,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
        )


UNCHANGED = Transfer(runs=1)


def push(url: str, uri: str) -> Transfer:
    """Send every run of the store at `uri` that `url` does not have, or has otherwise."""
    url = url.rstrip("/")
    total = Transfer()
    with quietly(), _storage_errors(url), tempfile.TemporaryDirectory() as scratch:
        client = open_client(uri)
        for number, (experiment, run) in enumerate(records.stored_runs(client)):
            record, files = records.read_stored(
                client, experiment, run, Path(scratch) / str(number)
            )
            remote = _read_remote(url, record.run_id)
            if _same(record, remote):
                total += UNCHANGED
                continue
            sent = _missing(record, remote)
            for path in sent:
                storage.write(f"{url}/{record.run_id}/artifacts/{path}", files[path].read_bytes())
            content = json.dumps(record.as_dict(), indent=1, sort_keys=True).encode()
            storage.write(f"{url}/{record.run_id}/run.json", content)
            total += _transferred(record, sent)
    return total


def pull(url: str, uri: str) -> Transfer:
    """Fetch every run at `url` that the store at `uri` does not have, or has otherwise."""
    url = url.rstrip("/")
    total = Transfer()
    with quietly(), _storage_errors(url), tempfile.TemporaryDirectory() as scratch:
        client = open_client(uri)
        for name in sorted(storage.names(url)):
            remote = None if name.startswith(".") else _read_remote(url, name)
            if remote is None:
                continue
            local = _read_local(client, uri, remote, Path(scratch) / "local" / name)
            if _same(remote, local):
                total += UNCHANGED
                continue
            wanted = _missing(remote, local)
            files = {}
            for path in wanted:
                content = _verified(f"{url}/{name}/artifacts/{path}", remote.artifacts[path])
                files[path] = _write_file(Path(scratch) / "remote" / name / path, content)
            records.write_stored(client, uri, remote, files)
            total += _transferred(remote, wanted)
    if not total.runs:
        raise DataError(f"{url} holds no runs that were pushed.{_hint_at_mlruns(url)}")
    return total


def _missing(record: Record, other: Record | None) -> list[str]:
    """Return the artifacts of a record that the other side lacks, or has with another content."""
    known = other.artifacts if other else {}
    return [path for path, about in record.artifacts.items() if known.get(path) != about]


def _transferred(record: Record, paths: Sequence[str]) -> Transfer:
    size = sum(record.artifacts[path].bytes for path in paths)
    return Transfer(runs=1, changed=1, files=len(paths), bytes=size)


def _read_remote(url: str, name: str) -> Record | None:
    """Return the run that `url` holds under a name; None where it holds none."""
    location = f"{url}/{name}/run.json"
    try:
        content = json.loads(storage.read(location))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as error:
        raise DataError(f"{location} is damaged ({error}); push that run again.") from error
    number = content.get("format") if isinstance(content, dict) else None
    if number != records.FORMAT:
        raise DataError(
            f"{location} is of format {number}; this version reads format {records.FORMAT} only. "
            "Pull with the version of rsna-bundle that pushed it, or a newer one."
        )
    try:
        record = records.parse(content)
    except FieldError as error:
        raise DataError(f"{location} cannot be used: {error}. Push that run again.") from error
    # The store writes an artifact where its path says.
    if any(path.startswith("/") or ".." in path.split("/") for path in record.artifacts):
        raise DataError(f"{location} names an artifact outside its run.")
    return record


def _read_local(client: MlflowClient, uri: str, remote: Record, scratch: Path) -> Record | None:
    """Return the store's run with the id of a remote one, or None."""
    experiment = open_experiment(client, uri, remote.experiment)
    mlflow_id = find_run(client, experiment, remote.run_id)
    if mlflow_id is None:
        return None
    run = client.get_run(mlflow_id)
    return records.read_stored(client, remote.experiment, run, scratch)[0]


def _same(record: Record, other: Record | None) -> bool:
    """Return whether two records agree. As text: a NaN does not equal itself."""
    return other is not None and json.dumps(record.as_dict(), sort_keys=True) == json.dumps(
        other.as_dict(), sort_keys=True
    )


def _verified(location: str, about: Artifact) -> bytes:
    content = storage.read(location)
    if hashlib.sha256(content).hexdigest() != about.sha256:
        raise DataError(
            f"{location} has {len(content)} bytes and another sha256 than its run.json says: it "
            "was altered or cut short. Push that run again."
        )
    return content


def _write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _hint_at_mlruns(url: str) -> str:
    """Return what to do with a folder that an older MLflow wrote, where `url` is one."""
    folder = storage.local(url)
    if storage.is_remote(url) or not (any(folder.glob("*/meta.yaml")) or folder.name == "mlruns"):
        return ""
    return (
        " It looks like a folder of MLflow's old file store: convert it with `mlflow "
        "migrate-filestore --source DIR --target sqlite:///runs/mlflow.db`."
    )


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{url}: {error} does not exist.") from error
    except OSError as error:
        raise StorageError(
            f"{url} cannot be used: {error}. Check that the bucket exists and that this machine "
            "may use it (gs:// takes gcloud's credentials, s3:// those of AWS)."
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Push or pull as the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m train.sync", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=["push", "pull"])
    parser.add_argument("url", help="gs://…, s3://… or a folder")
    parser.add_argument("--uri", help="the MLflow store (default: the one below runs/)")
    options = parser.parse_args(arguments)
    transfer = push if options.command == "push" else pull
    try:
        done = transfer(options.url, options.uri or default_uri(Path("runs")))
    except TrainError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(
        f"{options.command} {options.url}: {done.runs} runs, {done.changed} new or changed, "
        f"{done.files} files of {done.bytes / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
