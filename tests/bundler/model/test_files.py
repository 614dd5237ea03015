"""`model --files`: any files, byte for byte, under names that no upload touches."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.bundle import MOST_FILES, UNPACKED
from bundler.errors import BundlerError, InputError
from bundler.model import files as model_files
from bundler.rehearse.run import upload
from inference.boot import bundle as bundles
from inference.boot import files
from tests.bundler.model.model_trees import (
    build,
    digests,
    fill,
    hugging_face,
    nnunet,
    scikit_learn,
)

TREES: dict[str, Callable[[Path], Path]] = {
    "hugging face": hugging_face,
    "nnunet": nnunet,
    "scikit-learn": scikit_learn,
}


# --- round trips ---


@pytest.mark.parametrize("make", TREES.values(), ids=TREES.keys())
def test_arrives_byte_for_byte(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = make(tmp_path / "work")
    built = build(source, out=tmp_path / "dist" / "model")
    restored = files.restore(built.bundle, tmp_path / "scratch")
    expected = digests(source) if source.is_dir() else digests(source.parent)
    arrived = digests(restored / source.name) if source.is_dir() else digests(restored)
    assert arrived == expected


def test_keeps_folder_names_and_empty_folders(tmp_path: Path) -> None:
    source = nnunet(tmp_path)
    restored = files.restore(build(source, out=tmp_path / "model").bundle, tmp_path / "scratch")
    trained = restored / "Dataset501_Knee" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert (trained / "crossval_results_folds_0_1_2_3_4").is_dir()
    assert (trained / "fold_4" / "training_log.txt").read_bytes() == b""


def test_a_pickled_classifier_predicts_as_before(tmp_path: Path) -> None:
    source = scikit_learn(tmp_path / "work")
    restored = files.restore(build(source, out=tmp_path / "model").bundle, tmp_path / "scratch")
    classifier = pickle.loads((restored / source.name).read_bytes())
    assert list(classifier.predict([[0.0], [3.0]])) == [0, 1]


def test_links_the_largest_and_unpacks_the_rest(tmp_path: Path) -> None:
    for number in range(60):
        fill(tmp_path / "many" / f"{number:02}.bin", 1000 + number)
    built = build(tmp_path / "many", out=tmp_path / "model")
    restored = files.restore(built.bundle, tmp_path / "scratch") / "many"
    linked = sorted(path.name for path in restored.iterdir() if path.is_symlink())
    assert linked == [f"{number:02}.bin" for number in range(20, 60)]
    assert all(path.resolve().parent == tmp_path / "model" for path in restored.glob("[2-5]*"))


def test_20000_small_files(tmp_path: Path) -> None:
    for number in range(20_000):
        folder = tmp_path / "many" / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_text(str(number))
    built = build(tmp_path / "many", out=tmp_path / "model")
    assert len(list((tmp_path / "model").iterdir())) <= MOST_FILES
    restored = files.restore(built.bundle, tmp_path / "scratch")
    assert digests(restored / "many") == digests(tmp_path / "many")
    assert files.restore(built.bundle, tmp_path / "scratch") == restored


@pytest.mark.parametrize("form", [upload.PUBLISHED, *upload.FORMS])
def test_arrives_through_every_form_of_an_upload(tmp_path: Path, form: str) -> None:
    source = nnunet(tmp_path)
    build(source, out=tmp_path / "model")
    assert list(upload.complaints(tmp_path / "model")) == []
    upload.receive(tmp_path / "model", tmp_path / "mounted", form)
    restored = files.restore(bundles.read(tmp_path / "mounted"), tmp_path / "scratch")
    assert digests(restored / source.name) == digests(source)


def test_a_checkpoint_that_an_upload_unpacked_still_loads(tmp_path: Path) -> None:
    import torch

    weights = {"w": torch.arange(10_000.0)}
    torch.save(weights, tmp_path / "best.pth")
    built = build(tmp_path / "best.pth", out=tmp_path / "model")
    archive = tmp_path / "model" / "best.pth.tmp"
    for name in ("best.pth.tmp", "best.pth", "best"):
        mounted = tmp_path / "mounted"
        shutil.copytree(built.bundle.folder, mounted)
        (mounted / archive.name).unlink()
        with zipfile.ZipFile(archive) as source:
            source.extractall(mounted / name)
        restored = files.restore(bundles.read(mounted), tmp_path / "scratch")
        loaded = torch.load(restored / "best.pth", weights_only=True)
        assert torch.equal(loaded["w"], weights["w"])
        shutil.rmtree(mounted)


# --- equal input, equal bytes ---


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    one = nnunet(tmp_path / "one")
    other = tmp_path / "other" / one.name
    shutil.copytree(one, other)
    for path in other.rglob("*"):  # other times, modes and an order of their own
        os.utime(path, (1, 1))
        path.chmod(0o700)
    build(one, out=tmp_path / "a")
    build(other, out=tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_tells_nothing_of_the_laptop(tmp_path: Path) -> None:
    source = hugging_face(tmp_path / "somebody")
    build(source, out=tmp_path / "model")
    assert str(tmp_path).encode() not in (tmp_path / "model" / "bundle.json").read_bytes()
    for volume in (tmp_path / "model").glob("*.tar.tmp"):
        with tarfile.open(volume) as tar:
            assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in tar} == {
                (0, 0, "", 0o644)
            }


def test_leaves_an_equal_bundle_alone_and_repairs_a_damaged_one(tmp_path: Path) -> None:
    source = nnunet(tmp_path)
    place = tmp_path / "model"
    first = build(source, out=place)
    before = place.stat().st_ino
    again = build(source, out=place)
    assert (again.changed, place.stat().st_ino, again.bytes) == (False, before, first.bytes)
    shipped = next(place.glob("*checkpoint_final*"))
    shipped.write_bytes(b"damaged")
    repaired = build(source, out=place)
    assert repaired.changed
    assert bundles.verify(place).id == first.bundle.id


def test_a_later_write_to_the_users_file_does_not_reach_the_bundle(tmp_path: Path) -> None:
    weights = fill(tmp_path / "best.pth", 100_000)
    built = build(weights, out=tmp_path / "model")
    with weights.open("r+b") as stream:  # as torch.save does: the same inode
        stream.write(b"another epoch")
    bundles.verify(built.bundle.folder)


# --- names ---


def test_ships_names_that_no_upload_touches(tmp_path: Path) -> None:
    names = [
        "a/best.pth",
        "a_/_best.pth",
        "b/best.pth",
        "A/BEST.pth",
        "a__best.pth",
        "a__best.pth.tmp",
        "dataset-metadata.json",
        "bundle.json",
        "weights@2&3 ü.bin",
        "zipped.bin",
        f"{'long' * 50}/{'name' * 50}.pt",
        ".hidden",
        "data.tar.gz",
    ]
    for number, name in enumerate(names):
        fill(tmp_path / "m" / name, 100 + number)
    with zipfile.ZipFile(tmp_path / "m" / "zipped.bin", "w") as archive:
        archive.writestr("x", "y")
    built = build(tmp_path / "m", out=tmp_path / "model")
    shipped = [path.name for path in (tmp_path / "model").iterdir()]
    assert len({name.casefold() for name in shipped}) == len(names) + 1
    assert not [name for name in shipped if name.lower().endswith(UNPACKED)]
    assert all(set(name) <= set("".join(map(chr, range(33, 127)))) - set("@&/") for name in shipped)
    assert "zipped.bin.tmp" in "".join(shipped)
    assert max(map(len, shipped)) < 150
    restored = files.restore(built.bundle, tmp_path / "scratch")
    assert digests(restored / "m") == digests(tmp_path / "m")


def test_a_file_may_be_called_as_a_volume(tmp_path: Path) -> None:
    for number in range(45):
        fill(tmp_path / f"volume-{number}.tar" / "x.bin", 10 + number)
    built = build(*sorted(tmp_path.glob("volume-*")), out=tmp_path / "model")
    restored = files.restore(built.bundle, tmp_path / "scratch")
    assert len(digests(restored)) == 45


def test_takes_spaces_and_unicode(tmp_path: Path) -> None:
    for name in ("two words.pt", "Gewichte_ä.pt", "重み.pt", "e\u0301.pt", "é.pt"):
        fill(tmp_path / "m" / name, 10)
    (tmp_path / "m" / "leer ß.txt").touch()
    built = build(tmp_path / "m", out=tmp_path / "model")
    restored = files.restore(built.bundle, tmp_path / "scratch")
    assert digests(restored / "m") == digests(tmp_path / "m")


# --- what cannot be bundled ---


def test_refuses_more_than_a_dataset_holds_before_reading_it(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with (tmp_path / "m" / "huge.gguf").open("wb") as stream:
        stream.truncate(201 * 10**9)  # sparse
    with pytest.raises(InputError, match=r"201\.0 GB are more than the 200 GB"):
        build(tmp_path / "m", out=tmp_path / "model")


def test_refuses_what_the_disk_cannot_hold_before_copying(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free + 10**9 > 199 * 10**9:
        pytest.skip("this disk holds more than any dataset")
    (tmp_path / "m").mkdir()
    with (tmp_path / "m" / "huge.gguf").open("wb") as stream:
        stream.truncate(free + 10**9)
    with pytest.raises(BundlerError, match=r"GB free\. Free some space"):
        build(tmp_path / "m", out=tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_refuses_a_token_among_the_weights(tmp_path: Path) -> None:
    fill(tmp_path / "m" / "x.pt", 10)
    (tmp_path / "m" / "config.json").write_text(json.dumps({"token": "hf_" + "a" * 34}))
    with pytest.raises(InputError, match=r"m/config\.json:1: Hugging Face's token"):
        build(tmp_path / "m", out=tmp_path / "model")


def test_takes_no_foreign_folders_place(tmp_path: Path) -> None:
    fill(tmp_path / "thesis" / "text.txt", 10)
    with pytest.raises(BundlerError, match="is no bundle"):
        build(fill(tmp_path / "x.pt", 10), out=tmp_path / "thesis")


# --- light, and safe ---


def test_imports_no_framework_and_loads_no_pickle(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    (tmp_path / "m").mkdir()
    for name in ("model.pkl", "fold0.pth", "x.joblib"):
        (tmp_path / "m" / name).write_bytes(pickle.dumps(Bomb()))
    code = """
import sys
from pathlib import Path
from tests.bundler.model.model_trees import build
from bundler.model import files_card
made = build(Path(sys.argv[1]), out=Path(sys.argv[2]))
print(files_card.render(made.bundle))
print(*{"torch", "onnx", "numpy", "pandas", "sklearn", "safetensors", "click"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "m"), str(tmp_path / "model")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == ""
    assert not (tmp_path / "exploded").exists()


def test_is_refused_without_a_trace_where_a_manifest_would_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "MANIFEST_LIMIT", 10_000)
    with pytest.raises(InputError, match="more than a manifest holds"):
        build(nnunet(tmp_path), out=tmp_path / "model")
    assert not (tmp_path / "model").exists()
