"""Writing bundles: deterministic, left alone when unchanged, limited as Kaggle limits."""

import zipfile
from pathlib import Path

import pytest

from bundler import bundle
from bundler.errors import BundlerError
from bundler.rehearse.run import upload
from inference.boot import bundle as reader
from tests.parts import CODE


def test_two_builds_have_equal_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    for place in ("one", "two"):
        bundle.write(tmp_path / place, {"x.txt": tmp_path / "x.txt"}, CODE)
    one, two = ((tmp_path / place / "bundle.json").read_bytes() for place in ("one", "two"))
    assert one == two


def test_leaves_an_unchanged_bundle_alone_and_mends_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    arguments = (tmp_path / "place", {"x.txt": tmp_path / "x.txt"}, CODE)
    assert bundle.write(*arguments).changed
    assert not bundle.write(*arguments).changed
    (tmp_path / "place" / "x.txt").write_text("y")
    assert bundle.write(*arguments).changed
    assert (tmp_path / "place" / "x.txt").read_text() == "x"


def test_refuses_more_files_than_kaggle_takes(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    files = {f"{number}": tmp_path / "x" for number in range(50)}
    with pytest.raises(BundlerError, match="more than Kaggle takes"):
        bundle.write(tmp_path / "place", files, CODE)
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(
    ("name", "shipped"),
    [
        ("a.whl", "a.whl.tmp"),
        ("a.ZIP", "a.ZIP.tmp"),
        ("a.tar.gz", "a.tar.gz.tmp"),
        ("model.pth", "model.pth.tmp"),
        ("model.onnx", "model.onnx"),
        ("bundle.json", "bundle.json"),
    ],
)
def test_hides_what_kaggle_would_unpack(name: str, shipped: str) -> None:
    assert bundle.shipped_name(name) == shipped


def test_says_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundlerError, match="cannot be written"):
        bundle.write(tmp_path / "file" / "place", {}, CODE)


def test_takes_no_foreign_folders_place(tmp_path: Path) -> None:
    """A mistyped --out is not the end of somebody's work."""
    (tmp_path / "place").mkdir()
    bundle.write(tmp_path / "place", {}, CODE)  # empty: nothing is lost
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    with pytest.raises(BundlerError, match=r"is no bundle.*--out"):
        bundle.write(tmp_path / "work", {}, CODE)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["timm.pth.tar", "cut.zip", "empty.tgz"])
def test_what_is_an_archive_by_name_alone_travels_whole(tmp_path: Path, name: str) -> None:
    """A tree may hold such files, in an archive of its own: a checkpoint, a broken test case."""
    odd = tmp_path / name
    odd.write_bytes(b"" if name.startswith("empty") else b"PK\x03\x04 no archive at all")
    with zipfile.ZipFile(tmp_path / "tree.zip", "w") as archive:
        archive.write(odd, name)
    bundle.write(tmp_path / "code", {"tree.zip": tmp_path / "tree.zip"}, CODE)
    (file,) = reader.verify(tmp_path / "code").files
    assert [member.name for member in file.members] == [name]
    assert file.members[0].members == ()


@pytest.mark.parametrize("form", upload.FORMS)
def test_an_archive_is_told_by_its_content(tmp_path: Path, form: str) -> None:
    """torch.save writes a zip, timm calls it .pth.tar, and an upload unpacks it all the same."""
    with zipfile.ZipFile(tmp_path / "last.pth.tar", "w") as archive:
        archive.writestr("last/data.pkl", "weights")
    with zipfile.ZipFile(tmp_path / "tree.zip", "w") as archive:
        archive.write(tmp_path / "last.pth.tar", "runs/1/last.pth.tar")
    bundle.write(tmp_path / "code", {"tree.zip": tmp_path / "tree.zip"}, CODE)
    (file,) = reader.read(tmp_path / "code").files
    assert [member.name for member in file.members[0].members] == ["last/data.pkl"]
    upload.receive(tmp_path / "code", tmp_path / "dataset", form)
    reader.verify(tmp_path / "dataset")
