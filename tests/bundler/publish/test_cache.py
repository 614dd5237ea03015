"""A training cache travels as a dataset and is read where it is mounted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bundler.errors import InputError, UsageError
from bundler.progress import SILENT
from bundler.publish import bundles, cache
from bundler.publish.bundles import PublishOptions
from bundler.settings import Settings
from inference.boot import bundle as reader
from tests.kaggle.kernels import Run
from tests.kaggle.server import USER, Kaggle
from tests.recorder import Recorder
from train.cache import open_cache
from train.errors import DataError

REF = f"{USER}/rsna-bundle-cache"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A small finished cache: seven arrays of three images each, one image that failed."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    rng = np.random.default_rng(1)
    lines = ["image_id,shard,row"]
    for number in range(7):
        pixels = rng.integers(0, 256, (3, 16, 8), np.uint8)
        np.save(folder / f"shard-{number}.npy", pixels)
        lines += [f"{number}{row},shard-{number}.npy,{row}" for row in range(3)]
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    (folder / "failures.csv").write_text("image_id,kind,message\n99,blank,all black\n")
    (folder / "suspicious.csv").write_text("image_id,reason\n01,4 bits are left over\n")
    about = {"format": 1, "preprocess": {"version": 1, "size": [16, 8]}, "images": 21}
    (folder / "cache.json").write_text(json.dumps(about))
    return folder


def test_published_and_read_in_place(
    prepared: Path,
    kaggle: Kaggle,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "SHARD_BYTES", 3500)  # three arrays in each tar
    progress = Recorder()
    options = bundles.parse(("cache", str(prepared)))
    (done,) = bundles.publish(settings, settings.dist, options, progress).datasets
    assert (done.kind, done.ref) == ("cache", REF)
    first = cache.build(prepared, tmp_path / "again")
    assert first.bundle.id == done.id  # same cache, same bytes
    assert first.bundle.cache.shards == 4
    kept, there = open_cache(prepared), mount(kaggle, tmp_path / "mounted")
    opened = open_cache(there)
    assert len(opened.rows) == 21
    assert opened.failures == kept.failures
    assert opened.suspicious == kept.suspicious == {"01": "4 bits are left over"}
    for image in kept.rows:
        assert np.array_equal(opened.read(image), kept.read(image))


def mount(kaggle: Kaggle, place: Path) -> Path:
    """Lay out a dataset's served files."""
    served = kaggle.datasets.all[REF].served
    assert served is not None
    for name, content in served.files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def test_an_unpacked_upload_is_read_too(
    prepared: Path, kaggle: Kaggle, settings: Settings, tmp_path: Path
) -> None:
    kaggle.faults.unpack_by_content = True
    cache.build(prepared, settings.dist / "cache")
    bundles.publish(settings, settings.dist, PublishOptions(kinds=("cache",)), SILENT)
    there = mount(kaggle, tmp_path / "mounted")
    assert (there / "shards-000" / "shard-0.npy").is_file()
    assert np.array_equal(open_cache(there).read("42"), open_cache(prepared).read("42"))


def test_damage_is_named(prepared: Path, tmp_path: Path) -> None:
    place = cache.build(prepared, tmp_path / "cache").bundle.folder
    copy = shutil.copytree(place, tmp_path / "copy")
    tar = copy / "shards-000.tar.tmp"
    tar.write_bytes(tar.read_bytes()[:-1])
    with pytest.raises(DataError, match="publish again"):
        open_cache(copy)


def test_from_a_notebooks_output(prepared: Path, kaggle: Kaggle, settings: Settings) -> None:
    outputs = {f"out/{path.name}": path.read_bytes() for path in prepared.iterdir()}
    run = Run(number=1, body={"slug": f"{USER}/prepare", "text": "{}"}, status="COMPLETE")
    run.outputs |= outputs | {"big.log": b"x"}
    kaggle.kernels.all[f"{USER}/prepare"] = [run]
    options = bundles.parse(("cache",), f"{USER}/prepare")
    (done,) = bundles.publish(settings, settings.dist, options, SILENT).datasets
    held = reader.verify(settings.dist / "cache")
    assert held.id == done.id == cache.build(prepared, settings.dist / "other").bundle.id


@pytest.mark.parametrize("words", [("cache",), ("libs", "cache"), ("cache", "a", "b")])
def test_a_cache_needs_its_folder(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="publish cache DIR"):
        bundles.parse(words)


def test_no_cache(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(InputError, match="not a finished training cache"):
        cache.build(tmp_path, tmp_path / "dist" / "cache")
    (prepared / "shard-3.npy").unlink()
    with pytest.raises(InputError, match="lacks 1 of its arrays"):
        cache.build(prepared, tmp_path / "dist" / "cache")
