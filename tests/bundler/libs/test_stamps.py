"""What an unchanged build costs, and what is not taken for unchanged."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]


@pytest.fixture
def stamp(tmp_path: Path) -> Callable[[], Path]:
    """Return the one stamp in the cache."""

    def find() -> Path:
        (path,) = (tmp_path / "cache" / "stamps").glob("*.json")
        return path

    return find


def test_lock_that_was_deleted_comes_back_and_the_bundle_stays(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("albumentations")
    lock = (folder / "wheelhouse.lock").read_bytes()
    bundle = folder / "dist" / "libs"
    before = {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()}
    (folder / "wheelhouse.lock").unlink()

    made = libs()

    assert not made.built.changed
    assert (folder / "wheelhouse.lock").read_bytes() == lock
    assert {pin.name: pin.via for pin in made.lock.pins}["numpy"] == ("albumentations",)
    assert {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()} == before


def test_unchanged_bundle_needs_no_wheel_in_the_cache(
    libs: Libs, registry: Registry, tmp_path: Path
) -> None:
    libs("pydicom")
    for path in (tmp_path / "cache" / "files").rglob("pydicom*"):
        path.unlink()
    registry.close()

    assert not libs().built.changed


def test_file_of_the_bundle_that_was_touched_is_written_again(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("pydicom")
    (path,) = (folder / "dist" / "libs").glob("pydicom*")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")  # the same size

    made = libs()

    assert made.built.changed
    assert path.read_bytes() == content


def test_lock_that_was_edited_is_not_the_bundles(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("tqdm")
    lock = folder / "wheelhouse.lock"
    text = lock.read_text()
    lock.write_text(text.replace('"wheelhouse.txt"', '"somebody"'))

    made = libs()

    assert made.lock.pins[0].via == ("wheelhouse.txt",)
    assert lock.read_text() == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "",
        lambda content: "[]",
        lambda content: json.dumps({**content, "lock": "format = 9"}),
        lambda content: json.dumps({**content, "files": {"bundle.json": ["x"]}}),
        lambda content: json.dumps({key: content[key] for key in content if key != "resolved"}),
    ],
    ids=["empty", "list", "lock", "files", "older"],
)
def test_stamp_that_cannot_be_read_is_as_none(
    libs: Libs,
    registry: Registry,
    stamp: Callable[[], Path],
    damage: Callable[[dict[str, Any]], str],
) -> None:
    first = libs("pydicom")
    stamp().write_text(damage(json.loads(stamp().read_bytes())))

    assert libs().built.bundle.id == first.built.bundle.id
    assert not libs().built.changed


def test_run_that_ended_before_its_lock_was_written_is_made_good(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("tqdm")
    old = (folder / "wheelhouse.lock").read_bytes()
    registry.add(wheel("extra", "1.0"))
    made = libs("tqdm", "extra")
    (folder / "wheelhouse.lock").write_bytes(old)  # killed between bundle and lock

    again = libs()

    assert not again.built.changed
    assert again.built.bundle.id == made.built.bundle.id
    assert again.changes == ("+ extra 1.0",)
    assert os.stat(folder / "wheelhouse.lock").st_size > len(old)
