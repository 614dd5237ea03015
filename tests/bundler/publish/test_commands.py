"""The commands as a user meets them: processes of their own, Kaggle on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kaggle.world import World, begin

ROOT = Path(__file__).parents[3]


def rsna_bundle(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run rsna-bundle in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "bundler.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Kaggle that holds all three bundles of `dist`."""
    with begin(tmp_path / "world") as made:
        yield made


def test_build_and_publish(world: World, repository: Path) -> None:
    result = rsna_bundle(repository, "code", "--publish", "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["published"]["id"] == printed["id"]
    assert printed["published"]["changed"]
    assert "(3 files, " in result.stderr


def test_publish_push_status(world: World) -> None:
    result = rsna_bundle(world.root, "publish", "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = rsna_bundle(world.root, "push")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Version 1 of rosa/rsna-bundle-submission ran with libs")
    assert "submission.csv: 2 breasts" in result.stderr  # the log
    result = rsna_bundle(world.root, "status")
    assert result.stdout.count("up to date") == 3
    assert "No submissions yet" in rsna_bundle(world.root, "history").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["publish", "lib"], 2, "Unknown bundle 'lib'"),
        (["publish", "cache"], 2, "publish cache DIR"),
        (["push", "train"], 3, "notebook train"),
        (["push", "libs"], 3, "notebook libs"),
        (["notebook", "libs"], 3, "No package is named"),
        (["notebook", "train"], 2, "--repository URL"),
    ],
)
def test_bad_input_gets_one_paragraph_and_a_code(
    world: World, arguments: list[str], code: int, message: str
) -> None:
    result = rsna_bundle(world.root, *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
