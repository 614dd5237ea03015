"""Libs for another Python are bundled once, and again only where something changed."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run import substitute
from bundler.settings import Settings
from inference.boot import bundle as reader
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry, serving
from tests.kaggle.world import write_bundle


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """An index with two packages, and no other."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    with serving() as registry:
        monkeypatch.setenv("PIP_INDEX_URL", f"{registry.url}/simple")
        registry.add(wheel("alpha", "1.0"))
        registry.add(wheel("beta", "1.0"))
        yield registry


@pytest.fixture
def options(tmp_path: Path) -> RehearseOptions:
    """A repository whose code bundle is there."""
    write_bundle(tmp_path, "code", b"code")
    (tmp_path / "wheelhouse.txt").write_text("alpha\n")
    settings = Settings(root=tmp_path, run="python submit.py")
    return RehearseOptions(settings=settings, dist=tmp_path / "dist", out=tmp_path / "dist" / "out")


def test_what_is_unchanged_is_not_bundled_again(
    options: RehearseOptions, index: Registry, tmp_path: Path
) -> None:
    first = substitute.build(options, tmp_path / "first")
    made = (first / "libs" / "bundle.json").stat()
    index.log.clear()
    again = substitute.build(options, tmp_path / "again")
    assert os.path.samestat(made, (again / "libs" / "bundle.json").stat())
    assert index.log == []
    assert reader.read(again / "code").id == reader.read(options.dist / "code").id
    assert (again / "notebook").is_dir()


def test_another_requirement_is_bundled(
    options: RehearseOptions, index: Registry, tmp_path: Path
) -> None:
    first = reader.read(substitute.build(options, tmp_path / "first") / "libs")
    (tmp_path / "wheelhouse.txt").write_text("alpha\nbeta\n")
    again = reader.read(substitute.build(options, tmp_path / "again") / "libs")
    names = [[file.name for file in one.files if "beta" in file.name] for one in (first, again)]
    assert [len(own) for own in names] == [0, 1]


def test_a_bundle_that_was_damaged_is_made_again(
    options: RehearseOptions, index: Registry, tmp_path: Path
) -> None:
    first = substitute.build(options, tmp_path / "first")
    (file,) = (first / "libs").glob("*.whl*")
    file.write_bytes(b"damaged")
    reader.verify(substitute.build(options, tmp_path / "again") / "libs")


def test_another_report_has_its_own(
    options: RehearseOptions, index: Registry, tmp_path: Path
) -> None:
    """Two rehearsals at once, each with its --out, do not share a folder that one may replace."""
    first = substitute.build(options, tmp_path / "first") / "libs"
    other = replace(options, out=tmp_path / "elsewhere")
    again = substitute.build(other, tmp_path / "again") / "libs"
    assert first.resolve() != again.resolve()
    assert reader.read(first).id == reader.read(again).id
