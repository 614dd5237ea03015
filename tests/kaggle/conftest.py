"""A Kaggle on loopback for each test, and a home without anybody's credentials."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kaggle.server import Kaggle, serve


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    """A service of its own."""
    with serve() as service:
        yield service


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder
