"""Which files and folders are bundled, and what cannot be."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.errors import InputError
from tests.bundler.model.model_trees import (
    build,
    fill,
)


@pytest.mark.parametrize("name", ["two\nlines.pt", "bell\a.pt", "back\\slash.pt", "del\x7f.pt"])
def test_refuses_names_that_do_not_travel(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "m" / "model.pt", 10)
    (tmp_path / "m" / name).touch()
    with pytest.raises(InputError, match=r"cannot keep its name.*Rename it") as error:
        build(tmp_path / "m", out=tmp_path / "model")
    assert "\n" not in str(error.value)
    assert "\a" not in str(error.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as Unicode")
def test_refuses_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "m") + b"/\xff.pt")).touch()
    with pytest.raises(InputError, match="not UTF-8"):
        build(tmp_path / "m", out=tmp_path / "model")


def test_refuses_two_paths_of_one_name(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "a" / "best.pth", 10), fill(tmp_path / "b" / "best.pth", 10)
    with pytest.raises(InputError, match=r"would both be best\.pth"):
        build(one, other, out=tmp_path / "model")
    with pytest.raises(InputError, match="is named twice"):
        build(one, tmp_path / "b" / ".." / "a" / "best.pth", out=tmp_path / "model")


def test_takes_relative_paths_and_names_with_dots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "work" / "weights" / "x.pt", 10)
    monkeypatch.chdir(tmp_path / "work" / "weights")
    built = build(Path("../weights"), out=tmp_path / "model")
    assert [file.name for file in built.bundle.files] == ["weights/x.pt"]


def test_refuses_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth does not exist"):
        build(tmp_path / "nowhere.pth", out=tmp_path / "model")


def test_refuses_folders_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "m" / "inner").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no file"):
        build(tmp_path / "m", out=tmp_path / "model")
    with pytest.raises(InputError, match="has no name"):
        build(Path("/"), out=tmp_path / "model")


def test_refuses_pipes_loops_and_dangling_links(tmp_path: Path) -> None:
    fill(tmp_path / "m" / "x.pt", 10)
    os.mkfifo(tmp_path / "m" / "pipe")
    with pytest.raises(InputError, match="pipe is neither a file nor a folder, but a pipe"):
        build(tmp_path / "m", out=tmp_path / "model")
    (tmp_path / "m" / "pipe").unlink()
    (tmp_path / "m" / "loop").symlink_to(tmp_path / "m")
    with pytest.raises(InputError, match="loop is a link to a folder that it lies in"):
        build(tmp_path / "m", out=tmp_path / "model")
    (tmp_path / "m" / "loop").unlink()
    (tmp_path / "m" / "gone").symlink_to("blob")
    with pytest.raises(InputError, match="gone is a link to blob, which does not exist"):
        build(tmp_path / "m", out=tmp_path / "model")


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, where the tests run as root, who may read every file."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", ["x.pt", "inner"])
def test_refuses_what_cannot_be_read(locked: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder lets nobody in
        folder = Path(name)
        folder.chmod(0o755)
        fill(folder / "m" / "x.pt", 10)
        (folder / "m" / "inner").mkdir()
        (folder / "m" / locked).chmod(0)
        with unprivileged(), pytest.raises(InputError, match="cannot be read: Permission denied"):
            build(folder / "m", out=folder / "model")
        (folder / "m" / locked).chmod(0o700)
