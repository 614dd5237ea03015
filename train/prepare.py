"""Competition folder → training cache, by `inference.pixels` alone.

    python -m train.prepare --competition-dir DIR --out CACHE --preset roi-1024x512

Run it again after any interruption: finished shards are kept. Both may be local folders or URLs
(gs://, s3://); `--scheduler tcp://HOST:PORT` hands the same work to a Dask cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train import cache, shards, sheets, storage, table
from train.cache import Failure, Shard
from train.errors import DataError, TrainError
from train.shards import Done, Source

if TYPE_CHECKING:
    import pandas as pd

    from inference.pixels.preprocess import PreprocessConfig

_SAMPLED = 4  # files whose content tells one competition folder from another


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A cache that is complete."""

    location: str
    images: int
    failures: Mapping[str, Failure]
    suspicious: Mapping[str, str]  # image_id → why an image of the cache may be damaged
    made: int  # images decoded by this run
    seconds: float
    strays: tuple[str, ...]  # files without a row in the table


def prepare(
    competition: str,
    location: str,
    config: PreprocessConfig,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    again: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Fill the cache at `location` with every image of the competition's train.csv."""
    begun = time.monotonic()
    rows = table.read(competition)
    _refuse_another(location, config)
    images = list(zip(rows.patient_id, rows.image_id, strict=True))
    planned = cache.plan(images, config, _sample(competition, images))
    kept = {} if again else shards.finished(location, planned)
    missing = [shard for shard in planned if shard.key not in kept]
    source = Source(competition=competition, cache=location, preprocess=config)
    done = dict(kept)
    made = 0
    for result in shards.make(missing, source, workers, scheduler):
        done[result.shard.key] = result
        made += len(result.shard.images)
        if not quiet:
            _show_progress(done, len(rows), made, time.monotonic() - begun)
    failures = {name: why for shard in planned for name, why in done[shard.key].failures.items()}
    suspicious = {name: why for one in planned for name, why in done[one.key].suspicious.items()}
    _write_index(source, planned, failures, suspicious)
    if made or not kept:
        _write_sheets(location, rows)
    return Prepared(
        location=location,
        images=len(rows) - len(failures),
        failures=failures,
        suspicious=suspicious,
        made=made,
        seconds=time.monotonic() - begun,
        strays=_strays(competition, rows),
    )


def _sample(competition: str, images: Sequence[tuple[str, str]]) -> str:
    """Return a digest of a few of the files: another folder with the same ids has another."""
    digest = hashlib.sha256()
    for patient_id, image_id in images[:: max(1, len(images) // _SAMPLED)]:
        try:
            digest.update(storage.read(table.image_path(competition, patient_id, image_id)))
        except FileNotFoundError:
            digest.update(b"absent")
    return digest.hexdigest()


def _refuse_another(location: str, config: PreprocessConfig) -> None:
    """Raise DataError where `location` is a cache of another preprocessing."""
    try:
        content = storage.read(f"{location}/cache.json")
    except FileNotFoundError:
        return
    existing = cache.parse_preprocess(content, location)
    if existing != config:
        raise DataError(
            f"{location} is a cache of another preprocessing: {existing.as_dict()}, not "
            f"{config.as_dict()}. Choose another --out, or delete it."
        )


def _write_sheets(location: str, rows: pd.DataFrame) -> None:
    """Write contact sheets; of a cache in a bucket there are none."""
    if not storage.is_remote(location):
        made = cache.open_cache(storage.local(location))
        for name, page in sheets.by_machine(rows, made).items():
            storage.write(f"{location}/sheets/{name}", page)


def _write_index(
    source: Source,
    planned: Sequence[Shard],
    failures: Mapping[str, Failure],
    suspicious: Mapping[str, str],
) -> None:
    """Write the tables, and cache.json last: it says that the cache is finished."""
    location = source.cache
    rows = [
        (image_id, shard.array, row)
        for shard in planned
        for row, (_, image_id) in enumerate(shard.images)
        if image_id not in failures
    ]
    wrong = [(name, why.kind, why.message) for name, why in sorted(failures.items())]
    storage.write(f"{location}/index.csv", cache.write_table(("image_id", "shard", "row"), rows))
    table_of_failures = cache.write_table(("image_id", "kind", "message"), wrong)
    storage.write(f"{location}/failures.csv", table_of_failures)
    table_of_suspicious = cache.write_table(("image_id", "reason"), sorted(suspicious.items()))
    storage.write(f"{location}/suspicious.csv", table_of_suspicious)
    arrays = [shard.array for shard in planned]
    about = cache.describe(source.preprocess, len(rows), len(wrong), arrays)
    storage.write(f"{location}/cache.json", about)


def _strays(competition: str, rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the files of a local competition folder that no row of the table names."""
    if storage.is_remote(competition):
        return ()
    folder = storage.local(competition) / "train_images"
    pairs = zip(rows.patient_id, rows.image_id, strict=True)
    known = {f"{patient}/{image}.dcm" for patient, image in pairs}
    names = {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*.dcm")}
    return tuple(sorted(names - known))


def _show_progress(done: Mapping[str, Done], total: int, made: int, seconds: float) -> None:
    count = sum(len(result.shard.images) for result in done.values())
    failed = sum(len(result.failures) for result in done.values())
    rate = made / max(seconds, 1e-9)
    left = (total - count) / rate
    print(
        f"prepared {count}/{total} images, {rate:.1f}/s, {failed} failed, {left:.0f} s left",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare a cache as the command line asks for."""
    from inference.pixels.preprocess import PRESETS

    parser = argparse.ArgumentParser(prog="python -m train.prepare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--competition-dir",
        required=True,
        metavar="DIR",
        help="the competition's folder: train.csv and train_images",
    )
    parser.add_argument("--out", required=True, metavar="CACHE", help="the cache's folder or URL")
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="baseline-512",
        help="the preprocessing (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=os.cpu_count() or 1,
        help="processes that decode (default: one for each CPU)",
    )
    parser.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="decode on this Dask cluster instead"
    )
    parser.add_argument(
        "--again", action="store_true", help="decode images that are in the cache, too"
    )
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
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    _conclude(made)


def _conclude(made: Prepared) -> None:
    """Print what the cache holds, and which of its images to distrust."""
    print(
        f"{made.location}: {made.images} images, {made.made} of them decoded now in "
        f"{made.seconds:.1f} s; {len(made.failures)} failed (failures.csv), "
        f"{len(made.suspicious)} are suspicious (suspicious.csv), "
        f"{len(made.strays)} files without a row"
    )
    if made.suspicious:
        image_id, reason = min(made.suspicious.items())
        print(
            f"train: {len(made.suspicious)} images were decoded from files that may be damaged, "
            f"image {image_id} for one: {reason}. They are in the cache; copy their files again, "
            "or remove their rows from train.csv, and prepare with --again.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
