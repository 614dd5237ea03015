"""The doctor names what is wrong, and how to mend it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler import doctor
from bundler.doctor import Diagnosis, Finding
from bundler.settings import Datasets, Settings
from tests.kaggle.server import COMPETITION, USER
from tests.kaggle.world import World, begin

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Kaggle that holds all three bundles."""
    with begin(tmp_path / "world") as made:
        yield made


def examine(world: World, root: Path, **settings: object) -> dict[str, Finding]:
    """Return the findings by their name."""
    diagnosis: Diagnosis = doctor.examine(Settings(root=root, **settings))  # type: ignore[arg-type]
    return {finding.name: finding for finding in diagnosis.findings}


def test_all_is_well(world: World, repository: Path) -> None:
    findings = examine(world, repository)
    assert {name for name, one in findings.items() if one.state == "bad"} <= {"sandbox", "disk"}
    assert findings["credentials"].message == f"signed in as {USER}"
    assert findings["libs dataset"].message.endswith("ready")
    assert findings["competition"].message.startswith(f"{COMPETITION}: 5 submissions left")
    assert "will be created" in findings["notebook"].message
    assert findings["target"].state == "doubt"  # the shipped one is an estimate
    assert "target capture --push" in findings["target"].message


def test_what_is_wrong_is_named(world: World, tmp_path: Path) -> None:
    world.kaggle.faults.clock = -7200
    world.kaggle.competitions.all[COMPETITION].entered = False
    findings = examine(world, tmp_path, datasets=Datasets(libs="Bad_Slug"))
    assert "git init" in findings["repository"].message
    assert "+120 minutes off" in findings["clock"].message
    assert "not a valid name for a dataset" in findings["libs dataset"].message
    findings = examine(world, tmp_path, owner="somebody")
    assert "the credentials are for 'rosa'" in findings["kaggle"].message
    assert "Accept its rules" in examine(world, tmp_path)["competition"].message
    world.kaggle.faults.refuse("", status=401, times=100)
    assert "Create a token" in examine(world, tmp_path)["libs dataset"].message


def test_others_can_read_the_key(world: World, tmp_path: Path) -> None:
    place = world.root / "home" / ".kaggle"
    place.mkdir(exist_ok=True)
    (place / "kaggle.json").write_text("{}")
    (place / "kaggle.json").chmod(0o644)
    (finding,) = doctor.permissions(Settings(root=tmp_path))
    assert finding[2].startswith("other users can read")


def test_as_a_user_runs_it(world: World, repository: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bundler.cli", "doctor", "--json"],
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    printed = json.loads(result.stdout)
    assert printed["sound"] == (result.returncode == 0)
    assert world.kaggle.url not in result.stderr
