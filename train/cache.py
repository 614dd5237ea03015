"""The training cache: every image once through `inference.pixels`, kept as uint8 arrays.

A cache is a folder:

    cache.json            format, the preprocessing, counts, names of the arrays
    index.csv             image_id, shard, row: one line per image that could be read
    failures.csv          image_id, kind, message: one line per image that could not
    suspicious.csv        image_id, reason: images in the cache whose files may be damaged
    shard-<key>.npy       uint8 [n, H, W]
    shard-<key>.json      what failed in it, or is suspicious
    sheets/*.png          contact sheets by site and machine

As a dataset on Kaggle it has a bundle.json, and its arrays lie in tar files (see `packed`).

A shard's key is a digest of the preprocessing, the image ids and a sample of the files: a shard
that exists is right, and interrupted work goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.boot.fields import plain
from inference.errors import RunError
from inference.pixels.preprocess import PreprocessConfig
from train import fields, packed
from train.errors import DataError
from train.fields import FieldError

FORMAT = 1
SHARD_BYTES = 16 * 2**20  # small enough to share the work out, large enough to be few


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A unit of work: some images that become one array."""

    key: str
    images: tuple[tuple[str, str], ...]  # patient_id, image_id

    @property
    def array(self) -> str:
        """Name of its file of pixels."""
        return f"shard-{self.key}.npy"

    @property
    def report(self) -> str:
        """Name of its file of failures; written last, so it says that the shard is whole."""
        return f"shard-{self.key}.json"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an image is not in the cache."""

    kind: str
    message: str


def plan(
    images: Iterable[tuple[str, str]], preprocess: PreprocessConfig, source: str = ""
) -> list[Shard]:
    """Divide images (patient_id, image_id) into shards, the same ones for the same images.

    `source` tells one folder's images from another's with the same ids.
    """
    height, width = preprocess.size
    count = max(1, SHARD_BYTES // (height * width))
    ordered = sorted(images)
    # Without the defaults of later versions: a cache of before keeps its keys.
    canonical = json.dumps(plain(preprocess), sort_keys=True)
    shards = []
    for start in range(0, len(ordered), count):
        part = tuple(ordered[start : start + count])
        content = json.dumps([FORMAT, source, canonical, part]).encode()
        shards.append(Shard(key=hashlib.sha256(content).hexdigest()[:16], images=part))
    return shards


def describe(preprocess: PreprocessConfig, images: int, failures: int, arrays: list[str]) -> bytes:
    """Return what cache.json holds."""
    about = {
        "format": FORMAT,
        "preprocess": plain(preprocess),
        "images": images,
        "failures": failures,
        "shards": arrays,
    }
    return json.dumps(about, indent=1, sort_keys=True).encode()


def parse_preprocess(content: bytes, location: str) -> PreprocessConfig:
    """Return the preprocessing that a cache.json names. Raises DataError, naming the field."""
    try:
        about = fields.mapping("cache.json", json.loads(content))
        if about.get("format") != FORMAT:
            raise DataError(
                f"{location} is a cache of format {about.get('format')}; this version reads format "
                f"{FORMAT} only. Delete it and prepare it again."
            )
        return PreprocessConfig.from_dict(fields.mapping("preprocess", about.get("preprocess")))
    except (json.JSONDecodeError, UnicodeDecodeError, FieldError, RunError) as error:
        raise DataError(
            f"{location}/cache.json cannot be used: {error} Delete the cache and prepare it again."
        ) from error


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A finished cache in a local folder."""

    folder: Path
    preprocess: PreprocessConfig
    rows: Mapping[str, tuple[str, int]]  # image_id → shard's array, row in it
    failures: Mapping[str, str]  # image_id → what is wrong with it
    suspicious: Mapping[str, str] = field(default_factory=dict)  # image_id → why, though read
    packed: Mapping[str, packed.ArrayFile] = field(default_factory=dict)  # arrays inside tars

    def read(self, image_id: str) -> NDArray[np.uint8]:
        """Return one image, uint8 [H, W], as `inference.pixels` made it."""
        array, row = self.rows[image_id]
        if array in self.packed:
            return packed.read_row(self.packed[array], row)
        return np.array(np.load(self.folder / array, mmap_mode="r")[row])


def open_cache(folder: str | Path) -> Cache:
    """Open a finished cache; DataError where there is none or it is of another format."""
    folder = Path(folder)
    try:
        about = (folder / "cache.json").read_bytes()
        with (folder / "index.csv").open(newline="") as table:
            lines = list(csv.DictReader(table))
            rows = {line["image_id"]: (line["shard"], int(line["row"])) for line in lines}
        with (folder / "failures.csv").open(newline="") as table:
            failures = {line["image_id"]: line["message"] for line in csv.DictReader(table)}
        suspicious = _read_suspicious(folder / "suspicious.csv")
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{folder} holds no finished cache ({error}). Make one with `python -m train.prepare "
            f"--competition-dir DIR --out {folder}`; it goes on where it stopped."
        ) from error
    return Cache(
        folder=folder,
        preprocess=parse_preprocess(about, str(folder)),
        rows=rows,
        failures=failures,
        suspicious=suspicious,
        packed=packed.find_arrays(folder),
    )


def _read_suspicious(path: Path) -> dict[str, str]:
    if not path.exists():  # a cache of before it was looked for
        return {}
    with path.open(newline="") as table:
        return {line["image_id"]: line["reason"] for line in csv.DictReader(table)}


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV table as bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
