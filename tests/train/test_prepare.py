"""The cache: inference's pixels byte for byte, taken up where it stopped, honest on failures."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.errors import InputError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS
from train import cache
from train.errors import DataError, StorageError
from train.images import preprocess_config
from train.prepare import prepare
from train.table import image_path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = preprocess_config("roi-1024x512", (96, 48))


@pytest.fixture
def few(monkeypatch):
    """Make shards of four images."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 4 * 96 * 48)


def ids(competition) -> list[tuple[str, str]]:
    with (competition.folder / "train.csv").open(newline="") as table:
        return [(row["patient_id"], row["image_id"]) for row in csv.DictReader(table)]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_an_image_is_inferences_input_byte_for_byte(competition, tmp_path, preset):
    config = preprocess_config(preset, (96, 48))
    prepare(str(competition.folder), str(tmp_path), config, quiet=True)
    made = cache.open_cache(tmp_path)
    assert not made.failures
    for patient, image in ids(competition)[::7]:
        path = image_path(competition.folder, patient, image)
        np.testing.assert_array_equal(made.read(image), load(path, [config]).inputs[0])


def test_a_second_run_decodes_nothing_and_changes_nothing(competition, tmp_path, few):
    first = prepare(str(competition.folder), str(tmp_path), CONFIG, workers=2, quiet=True)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    again = prepare(str(competition.folder), str(tmp_path), CONFIG, quiet=True)
    assert first.made == first.images == len(ids(competition))
    assert again.made == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_it_goes_on_where_it_was_killed(competition, tmp_path, few):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    prepare(str(competition.folder), str(whole), CONFIG, quiet=True)
    code = (
        "from train import cache, prepare, images; cache.SHARD_BYTES = 4 * 96 * 48;"
        "config = images.preprocess_config('roi-1024x512', (96, 48));"
        f"prepare.prepare({str(competition.folder)!r}, {str(cut)!r}, config, quiet=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    while len(list(cut.glob("shard-*.json"))) < 2 and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = prepare(str(competition.folder), str(cut), CONFIG, quiet=True)
    assert done.made < done.images
    assert {p.name: p.read_bytes() for p in cut.glob("s*.*")} == {
        p.name: p.read_bytes() for p in whole.glob("s*.*")
    }


def test_failures_are_named_and_left_out(competition, tmp_path):
    folder = tmp_path / "competition"
    shutil.copytree(competition.folder, folder)
    missing, cut, *_ = ids(competition)
    (folder / "train_images" / missing[0] / f"{missing[1]}.dcm").unlink()
    path = folder / "train_images" / cut[0] / f"{cut[1]}.dcm"
    path.write_bytes(path.read_bytes()[:1000])
    (folder / "train_images" / cut[0] / "1.dcm").write_bytes(b"")
    done = prepare(str(folder), str(tmp_path / "cache"), CONFIG, quiet=True)
    assert set(done.failures) == {missing[1], cut[1]}
    assert done.failures[missing[1]].kind == "missing"
    assert done.strays == (f"{cut[0]}/1.dcm",)
    made = cache.open_cache(tmp_path / "cache")
    assert set(made.failures) == {missing[1], cut[1]}
    assert not set(made.failures) & set(made.rows)


def damage(competition, folder: Path) -> tuple[str, str]:
    """Copy a competition and zero the middle of one file; return the image's patient and id."""
    shutil.copytree(competition.folder, folder)
    for patient_id, image_id in ids(competition):
        path = folder / "train_images" / patient_id / f"{image_id}.dcm"
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
        path.write_bytes(content)
        try:
            if load(path, [CONFIG]).suspicious:
                return patient_id, image_id
        except InputError:
            pass
        shutil.copy(competition.folder / path.relative_to(folder), path)
    raise AssertionError("No image lets itself be damaged.")


def test_suspicious_images_are_listed_kept_and_remembered(competition, tmp_path, train, few):
    folder, place = tmp_path / "competition", tmp_path / "cache"
    _, image_id = damage(competition, folder)
    first = prepare(str(folder), str(place), CONFIG, quiet=True)
    assert list(first.suspicious) == [image_id]
    assert not first.failures
    reason = first.suspicious[image_id]
    table = (place / "suspicious.csv").read_text()
    assert table == f"image_id,reason\n{image_id},{reason}\n"
    again = prepare(str(folder), str(place), CONFIG, quiet=True)  # from the shards' reports
    assert (again.made, again.suspicious) == (0, first.suspicious)
    made = cache.open_cache(place)
    assert made.suspicious == {image_id: reason}
    assert image_id in made.rows
    (place / "suspicious.csv").unlink()  # as in a cache of an earlier version
    assert cache.open_cache(place).suspicious == {}


def test_prepare_and_training_say_which_images_are_suspicious(competition, tmp_path, train, small):
    folder, place = tmp_path / "competition", str(tmp_path / "cache")
    _, image_id = damage(competition, folder)
    asked = ["--competition-dir", str(folder), "--out", place, "--workers", "1"]
    done = train(*asked, module="train.prepare")
    assert "0 failed (failures.csv), 1 are suspicious (suspicious.csv)" in done.stdout
    assert f"image {image_id} for one" in done.stderr
    settings = [one for one in small if not one.startswith("data.dir")]
    done = train(f"data.dir={folder}", *settings, "trainer.epochs=1", "data.fold=0")
    assert f"come from files that may be damaged, {image_id} for one" in done.stderr


def test_another_folders_images_with_the_same_ids_are_prepared_anew(competition, tmp_path):
    from train.phantom import write_competition

    other = tmp_path / "other"
    write_competition(
        other, patients=16, test_patients=2, prevalence=0.3, contrast=0.5, size=(192, 150), seed=0
    )
    for path in sorted((other / "train_images").glob("*/*.dcm")):
        source = competition.folder / path.relative_to(other)
        assert source.exists()  # the same ids
    prepare(str(competition.folder), str(tmp_path / "cache"), CONFIG, quiet=True)
    for path in sorted((other / "train_images").glob("*/*.dcm"))[:3]:
        path.write_bytes(b"changed")
    assert prepare(str(other), str(tmp_path / "cache"), CONFIG, quiet=True).made > 0


def test_another_preprocessing_is_refused(competition, tmp_path):
    prepare(str(competition.folder), str(tmp_path), CONFIG, quiet=True)
    with pytest.raises(DataError, match="another preprocessing"):
        prepare(
            str(competition.folder),
            str(tmp_path),
            preprocess_config("baseline-512", None),
            quiet=True,
        )


def test_what_is_no_cache_is_refused(tmp_path):
    with pytest.raises(DataError, match="no finished cache"):
        cache.open_cache(tmp_path)
    (tmp_path / "cache.json").write_text(json.dumps({"format": 2}))
    for name in ("index.csv", "failures.csv"):
        (tmp_path / name).write_text("image_id\n")
    with pytest.raises(DataError, match="format 2"):
        cache.open_cache(tmp_path)


def test_contact_sheets_by_site_and_machine(competition, tmp_path):
    prepare(str(competition.folder), str(tmp_path), CONFIG, quiet=True)
    pages = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert pages == [f"site{s}_machine{m}.png" for s, m in ((1, 29), (1, 49), (2, 21), (2, 48))]
    with Image.open(tmp_path / "sheets" / pages[0]) as page:
        assert np.asarray(page).std() > 10


def test_the_command_says_what_it_did(competition, tmp_path, train):
    place = str(tmp_path / "cache")
    asked = ["--competition-dir", str(competition.folder), "--out", place, "--workers", "1"]
    done = train(*asked, module="train.prepare")
    assert f"{len(ids(competition))} images" in done.stdout
    done = train("--competition-dir", "nowhere", "--out", place, module="train.prepare", code=3)
    assert "nowhere/train.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_from_one_bucket_into_another(competition, tmp_path, s3, gs, few):
    import fsspec

    source, place = f"{s3}/competition", f"{gs}/cache"
    filesystem, path = fsspec.core.url_to_fs(source)
    for file in sorted(competition.folder.rglob("train*/**/*.dcm"))[:-1]:
        filesystem.put(str(file), f"{path}/{file.relative_to(competition.folder)}")
    filesystem.put(str(competition.folder / "train.csv"), f"{path}/train.csv")
    done = prepare(source, place, CONFIG, quiet=True)
    assert done.made == len(ids(competition))
    assert [why.kind for why in done.failures.values()] == ["missing"]
    assert prepare(source, place, CONFIG, quiet=True).made == 0
    fetched = tmp_path / "cache"
    filesystem, path = fsspec.core.url_to_fs(place)
    filesystem.get(path, str(fetched), recursive=True)
    made = cache.open_cache(fetched)
    patient, image = next(pair for pair in ids(competition) if pair[1] in made.rows)
    local = image_path(competition.folder, patient, image)
    np.testing.assert_array_equal(made.read(image), load(local, [CONFIG]).inputs[0])


def test_a_dask_cluster_makes_the_same_cache(competition, tmp_path, few):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    host, port = address.split(":")
    serve = ["--host", host, "--port", port, "--no-dashboard", "--no-show"]
    work = ["--nthreads", "1", "--nworkers", "1", "--no-dashboard", "--no-nanny"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    module = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*module, "distributed.cli.dask_scheduler", *serve], stderr=subprocess.DEVNULL
    )
    worker = subprocess.Popen(
        [*module, "distributed.cli.dask_worker", f"tcp://{address}", *work],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        place = tmp_path / "far"
        done = prepare(
            str(competition.folder), str(place), CONFIG, scheduler=f"tcp://{address}", quiet=True
        )
        assert done.made == len(ids(competition))
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    prepare(str(competition.folder), str(tmp_path / "near"), CONFIG, quiet=True)
    assert {path.name: path.read_bytes() for path in place.glob("*.*")} == {
        path.name: path.read_bytes() for path in (tmp_path / "near").glob("*.*")
    }


def test_a_dask_cluster_that_is_not_there_is_named(competition, tmp_path):
    with pytest.raises(StorageError, match=r"tcp://127\.0\.0\.1:1"):
        prepare(
            str(competition.folder),
            str(tmp_path),
            CONFIG,
            scheduler="tcp://127.0.0.1:1",
            quiet=True,
        )
