"""The journal: what comes back from a file that anything may have happened to."""

import json
import os
import random
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import journal
from inference.journal import Journal, Key
from inference.outcome import Prediction
from inference.submission import TestImage
from inference.workers import state_of

KEY = Key(
    ids={"code": "a", "libs": "b", "model": "c"},
    table="d",
    images="/images",
    output="/submission.csv",
    flip=False,
    providers=("CPUExecutionProvider",),
)


@pytest.fixture
def images(tmp_path: Path) -> list[TestImage]:
    """Fifty images of some bytes."""
    paths = [tmp_path / f"{number}.dcm" for number in range(50)]
    for path in paths:
        path.write_bytes(b"x" * 10)
    return [
        TestImage(image_id=path.stem, patient_id="1", prediction_id="1_L", path=path, columns={})
        for path in paths
    ]


def predicted(images: list[TestImage], key: int, **changes: Any) -> Prediction:
    """Return a prediction whose number no decimal fraction of a few digits holds."""
    about = {
        "key": key,
        "probability": (key + 1) / 51,
        "members": (0.1, (key + 1) / 3) if key % 3 else (),
        "coarse": key % 2 == 0,
        "transfer_syntax": "1.2.840.10008.1.2.4.90",
        "decoder": "imagecodecs jpeg2k (OpenJPEG)",
        "suspicious": ("its scan ends\nbefore “the end”",) if key == 3 else (),
        "file": state_of(images[key].path),
    }
    return Prediction(**about | changes)


def opened(folder: Path, images: list[TestImage], key: Key = KEY) -> Journal:
    """Open the journal, which must be possible."""
    held = journal.open_journal(folder, key, images)
    assert held is not None
    return held


def written(folder: Path, images: list[TestImage], count: int = 40) -> Path:
    """Write the journal of a run that was killed; return its file."""
    held = opened(folder, images)
    for first in range(0, count, 4):
        held.append([predicted(images, key) for key in range(first, first + 4)])
    held.close(remove=False)
    (path,) = folder.glob("*.journal")
    return path


def keys(folder: Path, images: list[TestImage], key: Key = KEY) -> list[int]:
    """Return which images come back."""
    held = opened(folder, images, key)
    held.close(remove=False)
    return [one.key for one in held.predictions]


def test_returns_what_was_written(tmp_path: Path, images: list[TestImage]) -> None:
    written(tmp_path, images)
    held = opened(tmp_path, images)
    assert held.predictions == [predicted(images, key) for key in range(40)]
    held.append([predicted(images, 40)])
    held.close(remove=False)
    assert keys(tmp_path, images) == list(range(41))
    opened(tmp_path, images).close(remove=True)
    assert list(tmp_path.glob("*.journal")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"ids": {"code": "a", "libs": "b", "model": "x"}},
        {"table": "x"},
        {"images": "/others"},
        {"flip": True},
        {"providers": ("CUDAExecutionProvider",)},
        {"output": "/other/submission.csv"},
    ],
)
def test_another_key_begins_anew(
    tmp_path: Path, images: list[TestImage], change: dict[str, Any]
) -> None:
    written(tmp_path, images)
    other = replace(KEY, **change)
    assert keys(tmp_path, images, other) == []
    held = opened(tmp_path, images, other)
    held.append([predicted(images, 7)])
    held.close(remove=False)
    assert keys(tmp_path, images, other) == [7]
    # The first one's is gone, or it lies beside it: never are the two mixed.
    assert keys(tmp_path, images) in ([], list(range(40)))


def test_a_torn_end_is_cut_off_wherever_it_was_torn(
    tmp_path: Path, images: list[TestImage]
) -> None:
    path = written(tmp_path, images, 8)
    content = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(content) if byte == 10]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = max((end for end in ends if end <= size), default=0)
        assert keys(tmp_path, images) == list(range(max(0, ends.index(whole) if whole else 0)))
        if whole:
            assert path.stat().st_size == whole


def test_a_damaged_line_is_not_trusted_and_costs_no_other(
    tmp_path: Path, images: list[TestImage]
) -> None:
    path = written(tmp_path, images)
    content = path.read_bytes()
    chance = random.Random(3)
    header = content.index(b"\n") + 1
    for _ in range(300):
        damaged = bytearray(content)
        position = chance.randrange(header, len(content))
        damaged[position] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        held = opened(tmp_path, images)
        held.close(remove=False)
        sound = [predicted(images, key) for key in range(40)]
        assert len(held.predictions) >= 38  # a newline more or less makes two lines one
        assert all(one in sound for one in held.predictions)


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 5000, b"\n\n\n", os.urandom(4096), b"00000000 {}\n", b"x" * 200_000]
)
def test_a_file_of_something_else_begins_anew(
    tmp_path: Path, images: list[TestImage], garbage: bytes
) -> None:
    path = written(tmp_path, images)
    path.write_bytes(garbage)
    assert keys(tmp_path, images) == []
    assert keys(tmp_path, images) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1],
        {"key": 1},
        [50, 0.5, 0, "s", "d", [], [10, 0]],
        [-1, 0.5, 0, "s", "d", [], [10, 0]],
        [1, "0.5", 0, "s", "d", [], [10, 0]],
        [1, 1, 0, "s", "d", [], [10, 0]],
        [1, 0.5, 2, "s", "d", [], [10, 0]],
        [1, 0.5, 0, "s", "d", "no list", [10, 0]],
        [1, 0.5, 0, "s", "d", [], []],
    ],
)
def test_a_line_of_another_shape_is_not_trusted(
    tmp_path: Path, images: list[TestImage], value: object
) -> None:
    path = written(tmp_path, images, 4)
    text = json.dumps(value).encode()
    with path.open("ab") as stream:
        stream.write(b"%08x %s\n" % (zlib.crc32(text), text))
    assert keys(tmp_path, images) == [0, 1, 2, 3]


def test_a_file_that_changed_is_predicted_again(tmp_path: Path, images: list[TestImage]) -> None:
    written(tmp_path, images, 8)
    images[1].path.write_bytes(b"y" * 11)
    os.utime(images[2].path, ns=(1, 1))
    images[3].path.unlink()
    assert keys(tmp_path, images) == [0, 4, 5, 6, 7]


def test_no_journal_is_a_warning(
    tmp_path: Path, images: list[TestImage], capsys: pytest.CaptureFixture[str]
) -> None:
    assert journal.open_journal(tmp_path / "not" / "there", KEY, images) is None
    path = written(tmp_path, images)
    path.unlink()
    path.mkdir()
    assert journal.open_journal(tmp_path, KEY, images) is None
    assert capsys.readouterr().err.count("predictions are no longer kept") == 2


def test_syncs_are_far_apart(
    tmp_path: Path, images: list[TestImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    held = opened(tmp_path, images)
    for key in range(40):
        held.append([predicted(images, key)])
    held.close(remove=False)
    assert synced == []  # all within a second
    held = opened(tmp_path, images)
    held._next_sync = 0.0
    held.append([predicted(images, 41)])
    held.append([predicted(images, 42)])
    held.close(remove=False)
    assert len(synced) == 1
