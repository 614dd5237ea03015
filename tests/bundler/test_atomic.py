"""Folders and files appear whole, and a kill leaves the old or the new."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundler import atomic

WRITER = """
import sys
from pathlib import Path
from bundler import atomic
place = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in "ab":
        with atomic.new_folder(place) as folder:
            for number in range(20):
                (folder / f"{number}").write_text(letter * 5000)
"""


def test_replaces_a_folder_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic.new_folder(tmp_path / "place") as folder:
            (folder / content).touch()
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    with atomic.new_folder(tmp_path / "place") as folder:
        (folder / "old").touch()
    with pytest.raises(FileNotFoundError), atomic.new_folder(tmp_path / "place") as folder:
        (folder / "half").touch() or (folder / "not" / "there").touch()
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_without_an_exchange_the_folder_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    test_replaces_a_folder_and_leaves_nothing_beside_it(tmp_path)


def test_a_kill_at_any_moment_leaves_a_whole_folder(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, place], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        while not place.exists():
            time.sleep(0.001)
        time.sleep(0.01 + 0.003 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        contents = {path.name: path.read_text() for path in place.iterdir()}
        assert len(contents) == 20
        assert set(contents.values()) in ({"a" * 5000}, {"b" * 5000})


def test_writes_text_whole_or_not_at_all(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "new" / "file", "one")
    with pytest.raises(UnicodeEncodeError):
        atomic.write_text(tmp_path / "new" / "file", "half \ud800")
    assert (tmp_path / "new" / "file").read_text() == "one"
    assert len(list((tmp_path / "new").iterdir())) == 1
