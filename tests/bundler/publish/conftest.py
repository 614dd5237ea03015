"""Kaggle on loopback for the bundler, in this process, and bundles to publish."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler import bundle
from bundler.publish import client, dataset
from bundler.settings import Settings
from tests.kaggle.server import Kaggle, serve


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    """A service that this process talks to, and to no other."""
    home = tmp_path / "home"
    home.mkdir()
    with serve() as service:
        for name, value in service.environment(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
        monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
        monkeypatch.setattr(client, "LONGEST_DELAY", 0.05)
        monkeypatch.setattr(dataset, "FIRST_PAUSE", 0.01)
        monkeypatch.setattr(dataset, "LONGEST_PAUSE", 0.02)
        yield service
        loaded = sys.modules.get("kaggle.api.kaggle_api_extended")
        assert loaded is None or "--local" in loaded.KaggleApi.args  # never the real one


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings as they are without a pyproject.toml."""
    return Settings(root=tmp_path)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of bundles below `dist`: three files, the last one an archive."""

    def make(kind: str = "libs", content: bytes = b"one") -> Path:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        files = {}
        for name, text in {"a.txt": content, "b.bin": content * 1000}.items():
            (source / name).write_bytes(text)
            files[name] = source / name
        details = {"commit": "c" * 40, "dirty": False} if kind == "code" else {}
        return bundle.write(tmp_path / "dist" / kind, kind, files, details).bundle.folder

    return make
