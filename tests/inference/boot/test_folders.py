"""Folders that are being made are left to their makers; what a kill left behind is removed."""

import os
import threading
from pathlib import Path

import pytest

from inference.boot import folders


def test_is_removed_at_the_end_unless_it_was_moved(tmp_path: Path) -> None:
    with folders.unfinished(tmp_path, ".x-") as folder:
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []
    with folders.unfinished(tmp_path, ".x-") as folder:
        folder.rename(tmp_path / "done")
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_is_removed_where_its_maker_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), folders.unfinished(tmp_path, ".x-"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_sweeps_what_nobody_holds_and_nothing_else(tmp_path: Path) -> None:
    for name in (".x-left", ".y-other", "x"):
        (tmp_path / name / "inner").mkdir(parents=True)
    with folders.unfinished(tmp_path, ".x-") as one, folders.unfinished(tmp_path, ".x-") as two:
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {".y-other", "x", one.name, two.name}


def test_many_makers_at_once_keep_their_folders(tmp_path: Path) -> None:
    lost: list[Path] = []

    def make() -> None:
        for _ in range(50):
            with folders.unfinished(tmp_path, ".x-") as folder:
                (folder / "file").write_text("mine")
                if not (folder / "file").exists():
                    lost.append(folder)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert os.listdir(tmp_path) == []
