"""Shards of a training cache, decoded: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass

import numpy as np

from inference.pixels.preprocess import PreprocessConfig
from train import fields, storage, table
from train.cache import Failure, Shard
from train.errors import DataError, StorageError
from train.fields import FieldError


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the images are, where the cache is, and how one becomes the other."""

    competition: str  # a local folder or an fsspec URL, as is the cache
    cache: str
    preprocess: PreprocessConfig


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a shard."""

    shard: Shard
    failures: Mapping[str, Failure]  # image_id → why
    suspicious: Mapping[str, str]  # image_id → why an image that was read may be damaged


def make(
    shards: Sequence[Shard], source: Source, workers: int, scheduler: str | None
) -> Iterator[Done]:
    """Yield shards as they are finished, by `workers` processes or a Dask scheduler's."""
    if scheduler is not None:
        yield from _make_on_dask(shards, source, scheduler)
    elif workers <= 1 or len(shards) <= 1:
        for shard in shards:
            yield make_shard(shard, source)
    else:
        with ProcessPoolExecutor(workers) as pool:
            waiting: set[Future[Done]] = {pool.submit(make_shard, one, source) for one in shards}
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield _result(future)


def _result(future: Future[Done]) -> Done:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "A decoding process died: a decoder crashed, or the memory was used up. What is done "
            "is kept. Go on with --workers 1 to find the image that it dies on."
        ) from error


def _make_on_dask(shards: Sequence[Shard], source: Source, scheduler: str) -> Iterator[Done]:
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout=5)
    except OSError as error:
        raise StorageError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`, "
            "or leave --scheduler out to work on this machine."
        ) from error
    with client:
        # Not pure: Dask would take an earlier result for a shard whose files are gone by now.
        futures = [client.submit(make_shard, shard, source, pure=False) for shard in shards]
        for future in as_completed(futures):
            yield future.result()


def make_shard(shard: Shard, source: Source) -> Done:
    """Decode a shard's images into one array of the cache: the work of one worker."""
    from inference.errors import InputError
    from inference.pixels.loading import load

    config = source.preprocess
    pixels = np.zeros((len(shard.images), *config.size), np.uint8)
    failures, suspicious = {}, {}
    for row, (patient_id, image_id) in enumerate(shard.images):
        path = table.image_path(source.competition, patient_id, image_id)
        try:
            image = io.BytesIO(storage.read(path)) if storage.is_remote(path) else path
            loaded = load(image, [config])
            pixels[row] = loaded.inputs[0]
            if loaded.suspicious:
                suspicious[image_id] = "; ".join(loaded.suspicious)
        except FileNotFoundError:
            failures[image_id] = Failure(kind="missing", message=f"There is no {path}.")
        except InputError as error:
            kind = str(getattr(error, "kind", "unreadable"))
            failures[image_id] = Failure(kind=kind, message=str(error))
    content = io.BytesIO()
    np.save(content, pixels)
    storage.write(f"{source.cache}/{shard.array}", content.getvalue())
    # Last: its report says that a shard is whole.
    plain = {image_id: asdict(failure) for image_id, failure in failures.items()}
    plain |= {image_id: {"suspicious": reason} for image_id, reason in suspicious.items()}
    report = json.dumps(plain, sort_keys=True, indent=1).encode()
    storage.write(f"{source.cache}/{shard.report}", report)
    return Done(shard=shard, failures=failures, suspicious=suspicious)


def finished(location: str, shards: Sequence[Shard]) -> dict[str, Done]:
    """Return those shards, by their keys, that an earlier run left whole in a cache."""
    names = storage.names(location)
    return {
        shard.key: _read_report(f"{location}/{shard.report}", shard)
        for shard in shards
        if shard.report in names and shard.array in names
    }


def _read_report(path: str, shard: Shard) -> Done:
    """Read what `make_shard` wrote of a shard."""
    failures, suspicious = {}, {}
    try:
        report = fields.mapping("report", json.loads(storage.read(path)))
        for image_id, about in report.items():
            values = fields.mapping(image_id, about)
            if "suspicious" in values:
                suspicious[image_id] = fields.text(f"{image_id}.suspicious", values["suspicious"])
            else:
                failures[image_id] = _parse_failure(image_id, values)
    except (json.JSONDecodeError, UnicodeDecodeError, FieldError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete it: its images are then decoded again."
        ) from error
    return Done(shard=shard, failures=failures, suspicious=suspicious)


def _parse_failure(image_id: str, values: Mapping[str, object]) -> Failure:
    return Failure(
        kind=fields.text(f"{image_id}.kind", values.get("kind")),
        message=fields.text(f"{image_id}.message", values.get("message")),
    )
