"""A folder becomes a repository that the commands can work in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundler import settings
from bundler.errors import UsageError
from bundler.init import InitOptions, init

ROOT = Path(__file__).parents[2]
OPTIONS = InitOptions(owner="rosa", competition="some-competition", prefix="mammo")


def refuse(question: str, default: str) -> str:
    """Fail: nothing is to be asked."""
    raise AssertionError(question)


def test_an_empty_folder(tmp_path: Path) -> None:
    made = init(tmp_path, OPTIONS, refuse)
    assert [path.name for path in made.files] == ["pyproject.toml", "wheelhouse.txt", ".gitignore"]
    found = settings.load(tmp_path)
    assert (found.owner, found.competition) == ("rosa", "some-competition")
    assert (found.datasets.cache, found.notebook) == ("mammo-cache", "mammo-submission")
    assert init(tmp_path, OPTIONS, refuse).files == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    (tmp_path / ".gitignore").write_text("dist/\nmine")
    (tmp_path / "wheelhouse.txt").write_text("mine\n")
    init(tmp_path, OPTIONS, refuse)
    assert (tmp_path / "pyproject.toml").read_text().startswith('[project]\nname = "x"\n\n[tool.')
    assert (tmp_path / "wheelhouse.txt").read_text() == "mine\n"
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["dist/", "mine"]
    assert lines.count("dist/") == 1
    assert settings.load(tmp_path).owner == "rosa"


def test_questions(tmp_path: Path) -> None:
    asked = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return "rosa" if "user name" in question else default

    init(tmp_path, InitOptions(), answer)
    assert len(asked) == 2
    assert settings.load(tmp_path).competition == "rsna-breast-cancer-detection"


def test_bad_input_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        init(tmp_path, InitOptions(owner="a", competition="b", prefix="Not A Slug"), refuse)
    (tmp_path / "pyproject.toml").write_text("no [toml")
    with pytest.raises(UsageError, match="no TOML"):
        init(tmp_path, OPTIONS, refuse)
    assert (tmp_path / "pyproject.toml").read_text() == "no [toml"
    assert not (tmp_path / "wheelhouse.txt").exists()


def test_as_a_user_runs_it(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bundler.cli", "init", "--owner", "rosa"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert "rsna-bundle doctor" in result.stdout
