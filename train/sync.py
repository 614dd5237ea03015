"""Bring runs from machine to machine, through a bucket or a folder.

    python -m train.sync push gs://BUCKET/runs
    python -m train.sync pull gs://BUCKET/runs

What is there already is not sent again, what arrives is verified by its sha256, and a run's
artifacts open after the pull as they did before. `pull` also takes an old `mlruns` folder.

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
from typing import Any

from train import records, storage
from train.errors import DataError, StorageError, TrainError
from train.records import Record
from train.tracking import default_uri, find_run, open_client, open_experiment, quietly


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What a push or pull did."""

    runs: int  # seen
    changed: int
    files: int  # transferred
    bytes: int


def push(url: str, uri: str) -> Brought:
    """Send every run of the store at `uri` that `url` does not have, or has otherwise."""
    url = url.rstrip("/")
    seen = changed = files = size = 0
    with quietly(), _storage_errors(url), tempfile.TemporaryDirectory() as scratch:
        client = open_client(uri)
        for number, (experiment, run) in enumerate(records.stored_runs(client)):
            record = records.read_stored(client, experiment, run, Path(scratch) / str(number))
            seen += 1
            ours, theirs = record.manifest(), _manifest(url, record.run_id)
            if _same(ours, theirs):
                continue
            known = theirs["artifacts"] if theirs else {}
            for path, about in ours["artifacts"].items():
                if known.get(path) != about:
                    place = f"{url}/{record.run_id}/artifacts/{path}"
                    storage.write(place, record.artifacts[path].read_bytes())
                    files, size = files + 1, size + about["bytes"]
            content = json.dumps(ours, indent=1, sort_keys=True).encode()
            storage.write(f"{url}/{record.run_id}/run.json", content)
            changed += 1
    return Brought(runs=seen, changed=changed, files=files, bytes=size)


def pull(url: str, uri: str) -> Brought:
    """Fetch every run at `url` that the store at `uri` does not have, or has otherwise."""
    url = url.rstrip("/")
    with quietly(), _storage_errors(url), tempfile.TemporaryDirectory() as scratch:
        old = _old_folder(url, Path(scratch))
        if old is not None:
            return _convert(old, uri, Path(scratch))
        return _pull(url, uri, Path(scratch))


def _pull(url: str, uri: str, scratch: Path) -> Brought:
    client = open_client(uri)
    names = [name for name in sorted(storage.names(url)) if not name.startswith(".")]
    seen = changed = files = size = 0
    for name in names:
        theirs = _manifest(url, name)
        if theirs is None:
            continue
        seen += 1
        ours = _stored_manifest(client, uri, theirs, scratch / "ours" / name)
        if _same(theirs, ours):
            continue
        known = ours["artifacts"] if ours else {}
        fetched = {}
        for path, about in theirs["artifacts"].items():
            if known.get(path) != about:
                content = _verified(f"{url}/{name}/artifacts/{path}", about)
                fetched[path] = _lay(scratch / "theirs" / name, path, content)
                files, size = files + 1, size + about["bytes"]
        fields = {key: value for key, value in theirs.items() if key != "format"}
        records.write_stored(client, uri, Record(**fields | {"artifacts": fetched}))
        changed += 1
    if not seen:
        raise DataError(f"{url} holds no runs: neither pushed ones nor an old mlruns folder.")
    return Brought(runs=seen, changed=changed, files=files, bytes=size)


def _convert(folder: Path, uri: str, scratch: Path) -> Brought:
    """Bring the runs of an old `mlruns` folder into the store."""
    client = open_client(uri)
    seen = changed = files = size = 0
    for record in records.read_mlruns(folder):
        seen += 1
        manifest = record.manifest()
        if _same(manifest, _stored_manifest(client, uri, manifest, scratch / record.run_id)):
            continue
        records.write_stored(client, uri, record)
        changed += 1
        files += len(manifest["artifacts"])
        size += sum(about["bytes"] for about in manifest["artifacts"].values())
    return Brought(runs=seen, changed=changed, files=files, bytes=size)


def _manifest(url: str, name: str) -> dict[str, Any] | None:
    place = f"{url}/{name}/run.json"
    try:
        found = json.loads(storage.read(place))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as error:
        raise DataError(f"{place} is damaged ({error}); push that run again.") from error
    if found.get("format") != records.FORMAT:
        raise DataError(
            f"{place} is of format {found.get('format')}, this reads {records.FORMAT}: use the "
            "rsna-bundle that wrote it, or a newer one."
        )
    if any(path.startswith("/") or ".." in path.split("/") for path in found["artifacts"]):
        raise DataError(f"{place} names an artifact outside its run.")
    return dict(found)


def _stored_manifest(
    client: Any, uri: str, wanted: dict[str, Any], scratch: Path
) -> dict[str, Any] | None:
    """Return the manifest of the store's run with the wanted id, or None."""
    experiment = open_experiment(client, uri, wanted["experiment"])
    mlflow_id = find_run(client, experiment, wanted["run_id"])
    if mlflow_id is None:
        return None
    run = client.get_run(mlflow_id)
    return records.read_stored(client, wanted["experiment"], run, scratch).manifest()


def _same(first: dict[str, Any], second: dict[str, Any] | None) -> bool:
    """Tell whether two manifests agree, as far as a store can: it rounds nothing but -0."""
    return second is not None and json.dumps(first, sort_keys=True) == json.dumps(
        second, sort_keys=True
    )


def _verified(place: str, about: dict[str, Any]) -> bytes:
    content = storage.read(place)
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise DataError(
            f"{place} has {len(content)} bytes and another sha256 than its run.json says: it was "
            "altered or cut short. Push that run again."
        )
    return content


def _lay(folder: Path, path: str, content: bytes) -> Path:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def _old_folder(url: str, scratch: Path) -> Path | None:
    """Return the old `mlruns` folder that `url` is or holds, fetched if it is far; or None."""
    for place in (url, f"{url}/mlruns"):
        if not storage.is_remote(place):
            if storage.local(place).is_dir() and records.is_mlruns(storage.local(place)):
                return storage.local(place)
            continue
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(place)
        if filesystem.glob(f"{path}/*/meta.yaml"):
            filesystem.get(path, str(scratch / "mlruns"), recursive=True)
            return scratch / "mlruns"
    return None


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{url}: {error} is not there.") from error
    except OSError as error:
        raise StorageError(
            f"{url} refuses: {error}. Look whether the bucket exists and this machine may use it "
            "(gs:// takes gcloud's credentials, s3:// those of AWS)."
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Push or pull as the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m train.sync", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=["push", "pull"])
    parser.add_argument("url", help="gs://…, s3://… or a folder")
    parser.add_argument("--uri", help="of MLflow; default: the store below runs/")
    options = parser.parse_args(arguments)
    bring = push if options.command == "push" else pull
    try:
        done = bring(options.url, options.uri or default_uri(Path("runs")))
    except TrainError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(
        f"{options.command} {options.url}: {done.runs} runs, {done.changed} new or changed, "
        f"{done.files} files of {done.bytes / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
