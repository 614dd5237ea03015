"""A file that changed since its bundle was made is known by `model show`, on the same machine."""

import os
import shutil
from pathlib import Path

import pytest

from bundler.model import files_card, sources
from tests.bundler.model.model_trees import build, fill, nnunet


def test_nothing_has_changed_when_files_were_only_touched(tmp_path: Path) -> None:
    source = nnunet(tmp_path)
    built = build(source, out=tmp_path / "model")
    for path in source.rglob("*"):
        os.utime(path, (1, 1))
    assert sources.changes(built.bundle) == []
    assert "warning" not in files_card.render(built.bundle)


def test_names_what_changed_came_and_went(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt", "c.pt"):
        fill(tmp_path / "m" / name, 1000)
    built = build(tmp_path / "m", out=tmp_path / "model")
    fill(tmp_path / "m" / "a.pt", 1000, seed=1)
    (tmp_path / "m" / "b.pt").unlink()
    (tmp_path / "m" / "d.pt").touch()
    assert sources.changes(built.bundle) == [
        f"{tmp_path}/m/a.pt has another content",
        "m/b.pt is gone",
        f"{tmp_path}/m/d.pt is new",
    ]
    shown = files_card.render(built.bundle)
    assert "warning: The files that the model bundle" in shown
    assert "rsna-bundle model --files" in shown


def test_a_path_that_is_gone_altogether_is_named(tmp_path: Path) -> None:
    built = build(fill(tmp_path / "m" / "a.pt", 1000), out=tmp_path / "model")
    shutil.rmtree(tmp_path / "m")
    assert sources.changes(built.bundle) == [f"{tmp_path}/m/a.pt does not exist."]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"format": 9}', b"\xff"])
def test_says_nothing_where_it_does_not_know(tmp_path: Path, content: bytes | None) -> None:
    weights = fill(tmp_path / "a.pt", 1000)
    built = build(weights, out=tmp_path / "model")
    (record,) = (tmp_path / "cache" / "model-sources").iterdir()
    if content is None:
        record.unlink()
    else:
        record.write_bytes(content)
    weights.unlink()
    assert sources.changes(built.bundle) == []


def test_an_equal_bundle_in_another_folder_has_sources_of_its_own(tmp_path: Path) -> None:
    one = build(fill(tmp_path / "one" / "a.pt", 1000), out=tmp_path / "dist" / "model")
    other = build(fill(tmp_path / "other" / "a.pt", 1000), out=tmp_path / "dist2" / "model")
    assert one.bundle.id == other.bundle.id
    shutil.rmtree(tmp_path / "other")
    assert sources.changes(one.bundle) == []
    assert sources.changes(other.bundle) != []
