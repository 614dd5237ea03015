"""The training cache: every image once through `inference.pixels`, kept as uint8 arrays.

A cache is a folder:

    cache.json            format, the preprocessing, the competition folder, counts
    index.csv             image_id, shard, row: one line per image that could be read
    failures.csv          image_id, kind, message: one line per image that could not
    shard-<key>.npy       uint8 [n, H, W]
    shard-<key>.json      what failed in it
    sheets/*.png          contact sheets by site and machine

As a dataset on Kaggle it has a bundle.json, and its arrays lie in tar files (see `packed`).

A shard's key is a digest of the preprocessing, the image ids and a sample of the files, so a
shard that lies there is right, and work that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train import packed
from train.errors import DataError

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


def plan(
    images: Iterable[tuple[str, str]], preprocess: dict[str, Any], source: str = ""
) -> list[Shard]:
    """Divide images (patient_id, image_id) into shards, the same ones for the same images.

    `source` tells one folder's images from another's with the same ids.
    """
    height, width = preprocess["size"]
    count = max(1, SHARD_BYTES // (height * width))
    ordered = sorted(images)
    canonical = json.dumps(preprocess, sort_keys=True)
    shards = []
    for start in range(0, len(ordered), count):
        part = tuple(ordered[start : start + count])
        content = json.dumps([FORMAT, source, canonical, part]).encode()
        shards.append(Shard(key=hashlib.sha256(content).hexdigest()[:16], images=part))
    return shards


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A finished cache in a local folder."""

    folder: Path
    preprocess: dict[str, Any]
    rows: dict[str, tuple[str, int]]  # image_id → shard's array, row in it
    failures: dict[str, str]  # image_id → what is wrong with it
    places: Mapping[str, packed.Place] = field(default_factory=dict)  # arrays that lie elsewhere

    def read(self, image_id: str) -> NDArray[np.uint8]:
        """Return one image, uint8 [H, W], as `inference.pixels` made it."""
        array, row = self.rows[image_id]
        if array in self.places:
            return packed.read_row(self.places[array], row)
        return np.array(np.load(self.folder / array, mmap_mode="r")[row])


def open_cache(folder: str | Path) -> Cache:
    """Open a finished cache; DataError where there is none or it is of another format."""
    import csv

    folder = Path(folder)
    try:
        about = json.loads((folder / "cache.json").read_text())
        with (folder / "index.csv").open(newline="") as table:
            rows = {line["image_id"]: line for line in csv.DictReader(table)}
        with (folder / "failures.csv").open(newline="") as table:
            failures = {line["image_id"]: line["message"] for line in csv.DictReader(table)}
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(
            f"{folder} holds no finished cache ({error}). Make one with `python -m train.prepare "
            f"--competition-dir DIR --out {folder}`; it goes on where it stopped."
        ) from error
    if about.get("format") != FORMAT:
        raise DataError(
            f"{folder} is a cache of format {about.get('format')}, this reads {FORMAT}. "
            "Delete it and prepare it again."
        )
    return Cache(
        folder=folder,
        preprocess=about["preprocess"],
        rows={name: (line["shard"], int(line["row"])) for name, line in rows.items()},
        failures=failures,
        places=packed.find_arrays(folder),
    )


def same_preprocess(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Tell whether two preprocessings are equal, tuples and lists alike."""
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV table as bytes."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
