"""`rsna-bundle train` runs our modules, in a real process, beside a `train` of the user's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = [sys.executable, str(ROOT / "rsna_bundle.py")]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose own `train` and `inference` end whoever imports them."""
    for name in ("train", "inference"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('the user's {name}')\n")
    return tmp_path


@pytest.mark.parametrize("name", ["phantom", "prepare", "run", "sync"])
def test_help_is_the_modules(repository: Path, name: str) -> None:
    result = subprocess.run(
        [*SCRIPT, "train", name, "--help"],
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    expected = "Hydra" if name == "run" else f"python -m train.{name}"
    assert expected in result.stdout


def test_phantom_is_drawn_and_exit_codes_come_through(repository: Path) -> None:
    words = [*SCRIPT, "train", "phantom", "--out", "made", "--patients", "1", "--size", "64", "48"]
    subprocess.run(words, cwd=repository, check=True, capture_output=True)
    assert (repository / "made" / "train.csv").is_file()
    failed = subprocess.run([*SCRIPT, "train", "sync"], cwd=repository, capture_output=True)
    assert failed.returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_signals_reach_the_training(tmp_path: Path) -> None:
    code = (
        "from bundler import process; import sys\n"
        "process.become([sys.executable, '-c', sys.argv[1]])"
    )
    child = "import signal; print('ready', flush=True); signal.pause()"
    command = [sys.executable, "-c", code, child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
