"""What the tests of models share: a cache of their own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what this machine remembers of bundles out of the tests, and theirs out of it."""
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
