"""The examples, copied as a user copies them, with their data drawn and their weights trained."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LEFT_BY_USE = ("data", "weights", "runs", "dist", "submission.*", "__pycache__")

Copy = Callable[..., Path]


def python(folder: Path, *arguments: str | Path, **variables: str) -> str:
    """Run a script of an example as a user does, and return what it printed."""
    result = subprocess.run(
        # Without bytecode, since the tests compare what a folder holds.
        [sys.executable, "-B", "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a function that returns a copy of an example, with data and weights; made once."""
    made: dict[tuple[str, ...], Path] = {}

    def make(name: str, *options: str) -> Path:
        key = (name, *options)
        if key not in made:
            # A space in the path: nothing may depend on there being none.
            folder = tmp_path_factory.mktemp("an example") / name
            ignored = shutil.ignore_patterns(*LEFT_BY_USE)
            shutil.copytree(EXAMPLES / name, folder, ignore=ignored)
            python(folder, "make_data.py", *options)
            python(folder, "train.py")
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def copy(trained: Copy, tmp_path: Path) -> Copy:
    """Return a function that returns a copy that a test may change."""

    def make(name: str, *options: str) -> Path:
        return Path(shutil.copytree(trained(name, *options), tmp_path / "a copy" / name))

    return make
