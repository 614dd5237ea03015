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
    found: Diagnosis = doctor.examine(Settings(root=root, **settings))  # type: ignore[arg-type]
    return {finding.name: finding for finding in found.findings}


def test_all_is_well(world: World, repository: Path) -> None:
    found = examine(world, repository)
    assert {name for name, one in found.items() if one.state == "bad"} <= {"sandbox", "disk"}
    assert found["credentials"].said == f"signed in as {USER}"
    assert found["libs dataset"].said.endswith("ready")
    assert found["competition"].said.startswith(f"{COMPETITION}: 5 submissions left")
    assert "will be made" in found["notebook"].said
    assert found["target"].state == "doubt"  # the shipped one is an estimate
    assert "target capture --push" in found["target"].said


def test_what_is_wrong_is_named(world: World, tmp_path: Path) -> None:
    world.kaggle.faults.clock = -7200
    world.kaggle.competitions.all[COMPETITION].entered = False
    found = examine(world, tmp_path, datasets=Datasets(libs="Bad_Slug"))
    assert "git init" in found["repository"].said
    assert "+120 minutes off" in found["clock"].said
    assert "no slug for a dataset" in found["libs dataset"].said
    found = examine(world, tmp_path, owner="somebody")
    assert "the credentials are those of 'rosa'" in found["kaggle"].said
    assert "accept its rules" in examine(world, tmp_path)["competition"].said
    world.kaggle.faults.refuse("", status=401, times=100)
    assert "Make a token" in examine(world, tmp_path)["libs dataset"].said


def test_others_can_read_the_key(world: World, tmp_path: Path) -> None:
    place = world.root / "home" / ".kaggle"
    place.mkdir(exist_ok=True)
    (place / "kaggle.json").write_text("{}")
    (place / "kaggle.json").chmod(0o644)
    findings = doctor.permissions(Settings(root=tmp_path))
    assert next(said for _, _, said in findings).startswith("others can read")


def test_as_a_user_runs_it(world: World, repository: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bundler.cli", "doctor", "--json"],
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    said = json.loads(result.stdout)
    assert said["sound"] == (result.returncode == 0)
    assert world.kaggle.url not in result.stderr
