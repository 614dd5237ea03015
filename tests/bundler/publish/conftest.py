"""Kaggle on loopback for the bundler, in this process, and bundles to publish."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.settings import Settings
from tests.kaggle.server import Kaggle, serve
from tests.kaggle.world import DELAYS, write_bundle


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
        for (module, name), value in DELAYS.items():
            monkeypatch.setattr(module, name, value)
        yield service
        loaded = sys.modules.get("kaggle.api.kaggle_api_extended")
        assert loaded is None or "--local" in loaded.KaggleApi.args  # never the real one


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings as they are without a pyproject.toml."""
    return Settings(root=tmp_path)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of bundles below `dist`."""

    def make(kind: str = "libs", content: bytes = b"one") -> Path:
        return write_bundle(tmp_path, kind, content)

    return make
