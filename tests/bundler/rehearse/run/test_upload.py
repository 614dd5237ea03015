"""What an upload does to a bundle, and that the notebook's verifier gets along with it."""

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler import bundle
from bundler.rehearse.run import upload
from inference.boot import bundle as reader
from inference.errors import BundleError
from tests import parts


@pytest.fixture
def libs(tmp_path: Path, make_wheel: Callable[..., Path]) -> Path:
    """A libs bundle of two wheels and a plain file."""
    (tmp_path / "note.txt").write_text("hello\n")
    files = {path.name: path for path in (make_wheel("one"), make_wheel("two"))}
    bundle.write(tmp_path / "libs", {**files, "note.txt": tmp_path / "note.txt"}, parts.libs())
    return tmp_path / "libs"


@pytest.mark.parametrize(
    ("form", "member"),
    [
        (upload.PUBLISHED, "one-1.0-py3-none-any.whl.tmp"),
        ("flat", "one/__init__.py"),
        ("name/", "one-1.0-py3-none-any/one/__init__.py"),
        ("name/name/", "one-1.0-py3-none-any/one-1.0-py3-none-any/one/__init__.py"),
    ],
)
def test_each_form_can_be_verified_and_restored(
    libs: Path, tmp_path: Path, form: str, member: str
) -> None:
    upload.receive(libs, tmp_path / "dataset", form)
    assert (tmp_path / "dataset" / member).is_file()
    restored = reader.restore(reader.verify(tmp_path / "dataset"), tmp_path / "restored")
    assert {part.path.name for part in restored} == {
        "one-1.0-py3-none-any.whl",
        "two-1.0-py3-none-any.whl",
        "note.txt",
    }


@pytest.mark.parametrize(
    ("form", "member"),
    [
        (upload.PUBLISHED, "wheels.tar.tmp"),
        ("flat", "one/__init__.py"),
        ("name/", "wheels/one-1.0-py3-none-any/one/__init__.py"),
        ("name/name/", f"wheels/wheels/{2 * 'one-1.0-py3-none-any/'}one/__init__.py"),
    ],
)
def test_the_wheels_in_an_archive_are_unpacked_with_it(
    libs: Path, tmp_path: Path, form: str, member: str
) -> None:
    names = {path.name: path.name.removesuffix(".tmp") for path in libs.glob("*.whl.tmp")}
    with tarfile.open(tmp_path / "wheels.tar", "w") as archive:
        for shipped, name in names.items():
            archive.add(libs / shipped, name)
    bundle.write(tmp_path / "many", {"wheels.tar": tmp_path / "wheels.tar"}, parts.libs())
    assert list(upload.lost(tmp_path / "many", tmp_path / "scratch")) == []
    upload.receive(tmp_path / "many", tmp_path / "dataset", form)
    assert (tmp_path / "dataset" / member).is_file()
    (wheels,) = reader.restore(reader.verify(tmp_path / "dataset"), tmp_path / "restored")
    with tarfile.open(wheels.path) as archive:
        assert sorted(archive.getnames()) == sorted(names.values())


def test_nothing_is_lost_of_a_sound_bundle(libs: Path, tmp_path: Path) -> None:
    assert list(upload.complaints(libs)) == []
    assert list(upload.lost(libs, tmp_path)) == []


def test_folders_are_dropped(libs: Path, tmp_path: Path) -> None:
    (libs / "more").mkdir()
    (libs / "more" / "file").touch()
    upload.receive(libs, tmp_path / "dataset", upload.PUBLISHED)
    assert not (tmp_path / "dataset" / "more").exists()
    (message,) = upload.complaints(libs)
    assert "drops folders without a warning" in message


def test_names_and_numbers_that_kaggle_refuses(libs: Path) -> None:
    (libs / "a&b.bin").touch()
    for number in range(50):
        (libs / f"{number}.bin").touch()
    messages = list(upload.complaints(libs))
    assert any("a&b.bin: Kaggle refuses" in line for line in messages)
    assert any("55 files, and Kaggle takes 50" in line for line in messages)


def test_wheels_that_overwrite_one_another_when_flat(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("same.py", f"NAME = {name!r}\n")
    files = {f"{name}.zip": tmp_path / f"{name}.zip" for name in ("one", "two")}
    bundle.write(tmp_path / "code", files, parts.CODE)
    (message,) = upload.lost(tmp_path / "code", tmp_path / "scratch")
    assert message.startswith("uploaded and unpacked flat:")
    assert "same.py is in several archives" in message


def test_a_plain_archive_is_unpacked_whatever_its_name_says(libs: Path, tmp_path: Path) -> None:
    manifest = json.loads((libs / "bundle.json").read_text())
    entry = next(e for e in manifest["files"] if e["name"].startswith("one"))
    (libs / entry["shipped"]).rename(libs / entry["name"])
    upload.receive(libs, tmp_path / "dataset", upload.PUBLISHED)
    assert (tmp_path / "dataset" / "one-1.0-py3-none-any" / "one" / "__init__.py").is_file()
    reader.verify(tmp_path / "dataset")
    (tmp_path / "dataset" / "one-1.0-py3-none-any" / "one" / "__init__.py").unlink()
    with pytest.raises(BundleError, match="is missing"):
        reader.verify(tmp_path / "dataset")
