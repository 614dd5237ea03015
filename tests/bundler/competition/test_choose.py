"""The choice of a competition: one file knows them all, and imports none before it chooses."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundler.competition.choose import choose
from bundler.errors import UsageError
from bundler.settings import Settings

ROOT = Path(__file__).parents[3]
SLOW = ("numpy", "pydicom", "bundler.competition.screening")


def sources(folder: str) -> list[Path]:
    """Return the Python files below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


def test_only_the_choice_names_a_competition() -> None:
    chooser = ROOT / "bundler/competition/choose.py"
    own = ROOT / "bundler/competition/screening"
    naming = [
        path
        for path in (*sources("bundler/rehearse"), *sources("bundler/competition"))
        if "competition.screening" in path.read_text() and own not in path.parents
    ]
    assert naming == [chooser]


def test_no_competition_knows_the_rehearsal() -> None:
    files = [*sources("bundler/competition"), *sources("bundler/sandbox")]
    assert [path for path in files if "bundler.rehearse" in path.read_text()] == []


def test_nothing_slow_is_imported_before_the_choice() -> None:
    code = (
        "import sys, bundler.rehearse, bundler.competition.choose\n"
        f"print([name for name in {SLOW!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_options_that_make_no_sense_are_refused_before_any_work(tmp_path: Path) -> None:
    competition = choose(Settings(root=tmp_path), folder=tmp_path)
    with pytest.raises(UsageError, match="--patients is -1"):
        competition.validate(-1)
    with pytest.raises(UsageError, match="--competition-dir names the folder"):
        competition.validate(3)
    choose(Settings(root=tmp_path)).validate(0)
