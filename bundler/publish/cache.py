"""A training cache as a bundle: its arrays in tar files, which training reads in place."""

import json
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import inference
from bundler import atomic, bundle
from bundler.bundle import Built
from bundler.errors import BundlerError, InputError
from bundler.progress import Progress
from bundler.publish import kernel, outputs
from bundler.publish.client import connect
from bundler.publish.kernel import Version
from bundler.publish.slugs import Ref
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.bundle import SHIPPED_SUFFIX
from inference.boot.card import Preprocess
from inference.boot.fields import parse_as
from inference.boot.manifest import MANIFEST, Cache, File, compose

TABLES = ("cache.json", "index.csv", "failures.csv")
LATER_TABLES = ("suspicious.csv",)  # which an older cache lacks
ARRAYS = "shard-*.npy"
SHARD_BYTES = 10**9
MOST_SHARDS = 45  # of a dataset's 50 files


def build(source: Path, place: Path) -> Built:
    """Write the bundle of a finished cache to `place`. Same cache, same bytes.

    Raises InputError if `source` is not a finished cache.
    """
    about = _read(source)
    shards = divide(_arrays(source))
    try:
        with atomic.new_folder(place) as folder:
            tables = [*TABLES, *(name for name in LATER_TABLES if (source / name).is_file())]
            entries = [_copy(source / name, folder) for name in tables]
            for number, arrays in enumerate(shards):
                entries.append(_pack(f"shards-{number:03}.tar", arrays, folder))
            entries.sort(key=lambda entry: entry.name)
            part = Cache(preprocess=about.preprocess, images=about.images, shards=len(shards))
            _, text = compose(tuple(entries), part, inference.__version__)
            (folder / MANIFEST).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BundlerError(
            f"Could not write the cache bundle to {place}: {error.strerror}. An earlier bundle "
            "there is unchanged."
        ) from error
    size = sum(entry.bytes for entry in entries)
    return Built(bundle=reader.read(place), bytes=size, changed=True)


@dataclass(frozen=True, kw_only=True)
class About:
    """What a finished cache says of itself, as far as its bundle repeats it."""

    preprocess: Preprocess
    images: int | None


def _read(source: Path) -> About:
    try:
        about = json.loads((source / TABLES[0]).read_text(encoding="utf-8"))
        if not all((source / name).is_file() for name in TABLES) or "preprocess" not in about:
            raise ValueError(f"one of {', '.join(TABLES)} is missing or incomplete")
        preprocess = parse_as(Preprocess, about["preprocess"], "preprocess")
        return About(preprocess=preprocess, images=about.get("images"))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{source} is not a finished training cache ({error}). Make one with `python -m "
            f"train.prepare --competition-dir DIR --out {source}`."
        ) from error


def _arrays(source: Path) -> list[Path]:
    with (source / "index.csv").open(encoding="utf-8") as stream:
        wanted = {line.rsplit(",", 2)[1] for line in list(stream)[1:]}
    paths = {path.name: path for path in source.glob(ARRAYS)}
    if missing := wanted - paths.keys():
        raise InputError(f"{source} lacks {len(missing)} of its arrays, such as {min(missing)}.")
    return [paths[name] for name in sorted(wanted)]


def divide(arrays: Sequence[Path]) -> list[list[Path]]:
    """Divide arrays into tar files of at most 1 GB, or of what 45 files must hold."""
    sizes = [path.stat().st_size for path in arrays]
    crowded = sum(sizes) > SHARD_BYTES * (MOST_SHARDS // 2)
    most = max(SHARD_BYTES, sum(sizes) // MOST_SHARDS + max(sizes)) if crowded else SHARD_BYTES
    shards: list[list[Path]] = []
    space = 0
    for path in arrays:
        size = path.stat().st_size + 1024  # a header, and padding
        if not shards or size > space:
            shards.append([])
            space = most
        shards[-1].append(path)
        space -= size
    return shards


def _copy(source: Path, folder: Path) -> File:
    (folder / source.name).write_bytes(source.read_bytes())
    return bundle.describe(source.name, folder / source.name)


def _pack(name: str, arrays: Sequence[Path], folder: Path) -> File:
    """Write an uncompressed tar: what lies in it can be read where it is."""
    path = folder / (name + SHIPPED_SUFFIX)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for array in arrays:
            info = tarfile.TarInfo(array.name)
            info.size, info.mode = array.stat().st_size, 0o644
            with array.open("rb") as stream:
                tar.addfile(info, stream)
    return bundle.describe(name, path)


# --- from a notebook's output ---


def from_kernel(settings: Settings, name: str, place: Path, progress: Progress) -> Built:
    """Build the bundle from the cache that a notebook on Kaggle left in its output."""
    owner, slash, slug = name.partition("/")
    if not slash:
        raise InputError(f"{name!r} is not OWNER/NAME, as in a notebook's address.")
    client = connect(progress)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cache-", dir=place.parent) as scratch:
        ref = Ref(owner=owner, slug=slug)
        version = Version(ref=ref, number=kernel.current(client, ref))
        outputs.fetch(client, version, Path(scratch), r"(^|/)(cache\.json|\w+\.csv|shard-.*\.npy)$")
        folder = next(_caches(Path(scratch)), None)
        if folder is None:
            raise InputError(f"The output of {name} has no training cache: cache.json is missing.")
        return build(folder, place)


def _caches(folder: Path) -> Iterator[Path]:
    yield from sorted(path.parent for path in folder.rglob(TABLES[0]))
