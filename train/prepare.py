"""Competition folder → training cache, by `inference.pixels` alone.

    python -m train.prepare --competition-dir DIR --out CACHE --preset roi-1024x512

Run it again after any interruption: finished shards are kept. Both places may be local folders
or URLs (gs://, s3://); `--scheduler tcp://HOST:PORT` hands the same work to a Dask cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from train import cache, sheets, storage, table
from train.errors import DataError, StorageError, TrainError

if TYPE_CHECKING:
    import pandas as pd

    from inference.pixels.preprocess import PreprocessConfig


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a shard."""

    shard: cache.Shard
    failures: dict[str, dict[str, str]]  # image_id → kind, message


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A cache that is complete."""

    place: str
    images: int
    failures: dict[str, dict[str, str]]
    made: int  # images decoded by this run
    seconds: float
    strays: tuple[str, ...]  # files without a row in the table


def prepare(
    competition: str,
    place: str,
    config: PreprocessConfig,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    again: bool = False,
    say: bool = True,
) -> Prepared:
    """Fill the cache at `place` with every image of the competition's train.csv."""
    begun = time.monotonic()
    rows = table.read(competition)
    preprocess = json.loads(json.dumps(config.as_dict()))
    _refuse_another(place, preprocess)
    images = list(zip(rows.patient_id, rows.image_id, strict=True))
    shards = cache.plan(images, preprocess, _sample(competition, images))
    kept = {} if again else _finished(place, shards)
    missing = [shard for shard in shards if shard.key not in kept]
    done = dict(kept)
    made = 0
    for result in _make(missing, competition, place, preprocess, workers, scheduler):
        done[result.shard.key] = result
        made += len(result.shard.images)
        if say:
            _say_progress(done, len(rows), made, time.monotonic() - begun)
    failures = {name: why for shard in shards for name, why in done[shard.key].failures.items()}
    _write_index(place, preprocess, shards, failures)
    if made or not kept:
        _write_sheets(place, rows)
    return Prepared(
        place=place,
        images=len(rows) - len(failures),
        failures=failures,
        made=made,
        seconds=time.monotonic() - begun,
        strays=_strays(competition, rows),
    )


def make_shard(
    shard: cache.Shard, competition: str, place: str, preprocess: dict[str, Any]
) -> Done:
    """Decode a shard's images into one array at `place`: the work of one worker."""
    from inference.errors import InputError
    from inference.pixels.loading import load
    from inference.pixels.preprocess import PreprocessConfig

    config = PreprocessConfig.from_dict(preprocess)
    pixels = np.zeros((len(shard.images), *preprocess["size"]), np.uint8)
    failures = {}
    for row, (patient_id, image_id) in enumerate(shard.images):
        path = table.image_path(competition, patient_id, image_id)
        try:
            source = io.BytesIO(storage.read(path)) if storage.is_remote(path) else path
            pixels[row] = load(source, [config]).inputs[0]
        except FileNotFoundError:
            failures[image_id] = {"kind": "missing", "message": f"There is no {path}."}
        except InputError as error:
            kind = str(getattr(error, "kind", "unreadable"))
            failures[image_id] = {"kind": kind, "message": str(error)}
    content = io.BytesIO()
    np.save(content, pixels)
    storage.write(f"{place}/{shard.array}", content.getvalue())
    report = json.dumps(failures, sort_keys=True, indent=1).encode()
    storage.write(f"{place}/{shard.report}", report)
    return Done(shard=shard, failures=failures)


def _sample(competition: str, images: Sequence[tuple[str, str]]) -> str:
    """Return a digest of a few of the files: another folder with the same ids has another."""
    digest = hashlib.sha256()
    for patient_id, image_id in images[:: max(1, len(images) // 4)]:
        try:
            digest.update(storage.read(table.image_path(competition, patient_id, image_id)))
        except FileNotFoundError:
            digest.update(b"absent")
    return digest.hexdigest()


def _refuse_another(place: str, preprocess: dict[str, Any]) -> None:
    try:
        about = json.loads(storage.read(f"{place}/cache.json"))
    except FileNotFoundError:
        return
    if not cache.same_preprocess(about["preprocess"], preprocess):
        raise DataError(
            f"{place} is a cache of another preprocessing: it has {about['preprocess']}, asked "
            f"for is {preprocess}. Choose another --out, or delete it."
        )


def _finished(place: str, shards: Sequence[cache.Shard]) -> dict[str, Done]:
    there = storage.names(place)
    return {
        shard.key: Done(
            shard=shard,
            failures=json.loads(storage.read(f"{place}/{shard.report}")),
        )
        for shard in shards
        if shard.report in there and shard.array in there
    }


def _make(
    shards: Sequence[cache.Shard],
    competition: str,
    place: str,
    preprocess: dict[str, Any],
    workers: int,
    scheduler: str | None,
) -> Iterator[Done]:
    """Yield shards as they are finished: here, in processes, or on a Dask cluster."""
    if scheduler is not None:
        yield from _make_on_dask(shards, competition, place, preprocess, scheduler)
    elif workers <= 1 or len(shards) <= 1:
        for shard in shards:
            yield make_shard(shard, competition, place, preprocess)
    else:
        with ProcessPoolExecutor(workers) as pool:
            waiting: set[Future[Done]] = {
                pool.submit(make_shard, shard, competition, place, preprocess) for shard in shards
            }
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
            "is kept; go on with --workers 1, and the image it dies on is in the next shard."
        ) from error


def _make_on_dask(
    shards: Sequence[cache.Shard],
    competition: str,
    place: str,
    preprocess: dict[str, Any],
    scheduler: str,
) -> Iterator[Done]:
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout=5)
    except OSError as error:
        raise StorageError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`, "
            "or leave --scheduler out to work on this machine."
        ) from error
    with client:
        futures = [
            client.submit(make_shard, shard, competition, place, preprocess, pure=False)
            for shard in shards
        ]
        for future in as_completed(futures):
            yield future.result()


def _write_sheets(place: str, rows: pd.DataFrame) -> None:
    """Write contact sheets; of a cache in a bucket there are none."""
    if not storage.is_remote(place):
        for name, page in sheets.by_machine(rows, cache.open_cache(storage.local(place))).items():
            storage.write(f"{place}/sheets/{name}", page)


def _write_index(
    place: str,
    preprocess: dict[str, Any],
    shards: Sequence[cache.Shard],
    failures: dict[str, dict[str, str]],
) -> None:
    rows = [
        (image_id, shard.array, row)
        for shard in shards
        for row, (_, image_id) in enumerate(shard.images)
        if image_id not in failures
    ]
    wrong = [(name, why["kind"], why["message"]) for name, why in sorted(failures.items())]
    storage.write(f"{place}/index.csv", cache.lines(("image_id", "shard", "row"), rows))
    storage.write(f"{place}/failures.csv", cache.lines(("image_id", "kind", "message"), wrong))
    about = {
        "format": cache.FORMAT,
        "preprocess": preprocess,
        "images": len(rows),
        "failures": len(wrong),
        "shards": [shard.array for shard in shards],
    }
    storage.write(f"{place}/cache.json", json.dumps(about, indent=1, sort_keys=True).encode())


def _strays(competition: str, rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the files of a local competition folder that no row of the table names."""
    if storage.is_remote(competition):
        return ()
    folder = storage.local(competition) / "train_images"
    pairs = zip(rows.patient_id, rows.image_id, strict=True)
    known = {f"{patient}/{image}.dcm" for patient, image in pairs}
    found = {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*.dcm")}
    return tuple(sorted(found - known))


def _say_progress(done: dict[str, Done], total: int, made: int, seconds: float) -> None:
    there = sum(len(result.shard.images) for result in done.values())
    failed = sum(len(result.failures) for result in done.values())
    rate = made / max(seconds, 1e-9)
    left = (total - there) / rate
    print(
        f"prepared {there}/{total} images, {rate:.1f}/s, {failed} failed, {left:.0f} s left",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare a cache as the command line asks for."""
    from inference.pixels.preprocess import PRESETS

    parser = argparse.ArgumentParser(prog="python -m train.prepare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--competition-dir", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, metavar="CACHE")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="baseline-512")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")
    parser.add_argument("--again", action="store_true", help="decode what is there already, too")
    options = parser.parse_args(arguments)
    try:
        made = prepare(
            options.competition_dir.rstrip("/"),
            options.out.rstrip("/"),
            PRESETS[options.preset],
            workers=options.workers,
            scheduler=options.scheduler,
            again=options.again,
        )
    except TrainError as error:
        sys.exit(_fail(error))
    print(
        f"{made.place}: {made.images} images, {made.made} of them decoded now in "
        f"{made.seconds:.1f} s; {len(made.failures)} failed (failures.csv), "
        f"{len(made.strays)} files without a row"
    )


def _fail(error: TrainError) -> int:
    print(error, file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
