"""What the tests of models share: a cache of their own, and a replay of golden cases."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from inference import golden
from inference.boot.bundle import Bundle
from inference.golden import Replayed
from inference.predict import Model
from inference.workers import Workers


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what this machine remembers of bundles out of the tests, and theirs out of it."""
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def decoding() -> Iterator[Workers]:
    """Return a decoding process for a module's tests: its decoder is compiled once."""
    with Workers(1) as started:
        yield started


@pytest.fixture(scope="module")
def replay(decoding: Workers) -> Callable[[Bundle, Sequence[Model]], Replayed]:
    """Return the replay of a bundle's golden cases on its models."""
    return lambda bundle, models: golden.replay(bundle, models, decoding)
