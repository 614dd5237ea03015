"""Bundles: written, mounted, altered, unpacked by an upload, and read again."""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler import bundle as writer
from inference.boot import bundle, mounted
from inference.boot.manifest import content_id
from inference.errors import BundleError
from tests.parts import CODE


@pytest.fixture
def built(tmp_path: Path, make_wheel: Callable[..., Path]) -> Path:
    """A bundle of a wheel, a tar with another wheel in it, and a plain file."""
    plain = tmp_path / "notes.txt"
    plain.write_text("plain\n")
    archive = tmp_path / "wheels.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(make_wheel("beta"), "beta-1.0-py3-none-any.whl")
    alpha = make_wheel("alpha")
    files = {"notes.txt": plain, "wheels.tar": archive, alpha.name: alpha}
    writer.write(tmp_path / "dist" / "code", files, CODE)
    return tmp_path / "dist" / "code"


def test_is_flat_and_hides_archives(built: Path) -> None:
    names = sorted(path.name for path in built.iterdir())
    assert names == [
        "alpha-1.0-py3-none-any.whl.tmp",
        "bundle.json",
        "notes.txt",
        "wheels.tar.tmp",
    ]
    assert all(path.is_file() for path in built.iterdir())


def test_restores_true_names_and_bytes(built: Path, tmp_path: Path) -> None:
    restored = bundle.restore(bundle.read(built), tmp_path / "scratch")
    assert {part.path.name for part in restored} == {
        "alpha-1.0-py3-none-any.whl",
        "wheels.tar",
        "notes.txt",
    }
    assert all(part.sha256 == part.file.sha256 for part in restored)
    alpha = tmp_path / "scratch" / "alpha-1.0-py3-none-any.whl"
    assert alpha.read_bytes() == (tmp_path / "made-wheels" / alpha.name).read_bytes()


def test_same_input_gives_same_id_whatever_the_tool(built: Path) -> None:
    manifest = json.loads((built / "bundle.json").read_text())
    manifest["tool"] = "another version"
    assert content_id(manifest) == bundle.read(built).id
    manifest["commit"] = "d" * 40
    assert content_id(manifest) != bundle.read(built).id


@pytest.mark.parametrize("layout", ["flat", "{stem}", "{name}", "{shipped}", "{stem}/{stem}"])
def test_accepts_archives_that_an_upload_unpacked(built: Path, tmp_path: Path, layout: str) -> None:
    unpack_as_an_upload_does(built, layout)
    read = bundle.verify(built)
    restored = {part.file.name: part for part in bundle.restore(read, tmp_path / "scratch")}
    wheel = restored["alpha-1.0-py3-none-any.whl"]
    with zipfile.ZipFile(wheel.path) as archive:
        assert archive.read("alpha/__init__.py") == b"VERSION = '1.0'\n"
    with tarfile.open(restored["wheels.tar"].path) as tar:
        assert tar.getnames() == ["beta-1.0-py3-none-any.whl"]


def unpack_as_an_upload_does(folder: Path, layout: str) -> None:
    """Replace each archive of a bundle by its members, nested archives included."""
    for path in sorted(folder.glob("*.tmp")):
        name = path.name.removesuffix(".tmp")
        stem = name.removesuffix(".whl").removesuffix(".tar")
        place = folder
        if layout != "flat":
            place = folder / layout.format(stem=stem, name=name, shipped=path.name)
        archive = path.rename(folder / "archive")
        place.mkdir(parents=True, exist_ok=True)
        shutil.unpack_archive(archive, place, "zip" if name.endswith(".whl") else "tar")
        archive.unlink()
        for nested in place.glob("*.whl"):
            if nested.is_file():
                moved = nested.rename(place / "nested-archive")
                shutil.unpack_archive(moved, nested, "zip")
                moved.unlink()


def test_refuses_an_altered_member_of_an_unpacked_archive(built: Path) -> None:
    unpack_as_an_upload_does(built, "{stem}")
    (member,) = built.glob("alpha*/alpha/__init__.py")
    member.write_text("VERSION = 'evil'\n")
    with pytest.raises(BundleError, match=r"alpha/__init__\.py was altered"):
        bundle.verify(built)


@pytest.mark.parametrize("name", ["alpha-1.0-py3-none-any.whl.tmp", "notes.txt"])
def test_refuses_an_altered_file(built: Path, tmp_path: Path, name: str) -> None:
    content = bytearray((built / name).read_bytes())
    content[-1] ^= 1
    (built / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        bundle.verify(built)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        bundle.restore(bundle.read(built), tmp_path / "scratch")
    true_name = name.removesuffix(".tmp")
    assert not (tmp_path / "scratch" / true_name).exists()


def test_refuses_an_altered_manifest(built: Path) -> None:
    text = (built / "bundle.json").read_text()
    (built / "bundle.json").write_text(text.replace("c" * 40, "d" * 40))
    with pytest.raises(BundleError, match="was altered: its content has the id"):
        bundle.read(built)


def test_names_a_missing_file(built: Path) -> None:
    (built / "notes.txt").unlink()
    with pytest.raises(BundleError, match=r"notes\.txt is missing"):
        bundle.verify(built)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "names no format"),
        (b'{"format": 1}', "has format 1; this version of rsna-bundle reads format 2 only"),
        (b'{"format": true}', "has format True"),
        (b'{"format": 2}', "the field files is missing"),
        (b'{"format": 2, "files": 3, "kind": "code", "id": "", "tool": ""}', "files is 3, not a"),
        (b'{"format": 2, "files": [], "kind": "cod", "id": "", "tool": ""}', "kind is 'cod', none"),
    ],
)
def test_refuses_a_broken_manifest(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=said):
        bundle.read(tmp_path)


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../b", "a\\b", "", "a//b", ".", "a\0b"])
def test_refuses_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    entry = {"name": name, "shipped": "x", "bytes": 0, "sha256": "0" * 64}
    for entries in (
        [entry],
        [entry | {"name": "x", "shipped": name}],
        [entry | {"name": "x.zip", "members": [{"name": name, "sha256": "0" * 64}]}],
    ):
        manifest = {"format": 2, "kind": "code", "files": entries}
        manifest |= {"id": content_id(manifest), "tool": "x"}
        (tmp_path / "bundle.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="unsafe"):
            bundle.read(tmp_path)


@pytest.mark.parametrize(
    "mount",
    ["the-code", "datasets/me/the-code", "the-code/code", "datasets/me/the-code/code/code", "."],
)
def test_finds_a_bundle_in_each_mount_layout(built: Path, tmp_path: Path, mount: str) -> None:
    root = tmp_path / "input"
    shutil.copytree(built, root / mount)
    (root / "competitions" / "rsna" / "train_images" / "1").mkdir(parents=True)
    present = mounted.find(root)
    assert mounted.choose(present, "code").folder == root / mount


def test_does_not_walk_the_images(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "input"
    images = root / "rsna" / "test_images"
    shutil.copytree(built, images)
    (root / "rsna" / "test.csv").write_text("")
    assert mounted.find(root) == ([], [])


def test_takes_the_same_bundle_mounted_twice_for_one(built: Path, tmp_path: Path) -> None:
    for mount in ("the-code", "datasets/me/the-code"):
        shutil.copytree(built, tmp_path / "input" / mount)
    assert mounted.choose(mounted.find(tmp_path / "input"), "code").id == bundle.read(built).id


def test_refuses_to_choose_between_two_ids(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "input"
    shutil.copytree(built, root / "one")
    writer.write(root / "two", {"notes.txt": built / "notes.txt"}, CODE)
    present = mounted.find(root)
    with pytest.raises(BundleError, match="Several code bundles are mounted"):
        mounted.choose(present, "code")
    expected = bundle.read(root / "two").id
    assert mounted.choose(present, "code", expected).folder == root / "two"
    with pytest.raises(BundleError, match="the dataset has another version"):
        mounted.choose(present, "code", "f" * 64)


def test_says_why_a_mounted_manifest_was_passed_over(built: Path, tmp_path: Path) -> None:
    manifest = built / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 7'))
    present = mounted.find(built.parent)
    with pytest.raises(BundleError, match=r"No code bundle is mounted(.|\n)*has format 7"):
        mounted.choose(present, "code")


def test_names_a_missing_input_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist; name it with --input"):
        mounted.find(tmp_path / "nowhere")
