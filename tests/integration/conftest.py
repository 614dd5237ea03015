"""The demo, run once for all integration tests, and a way to submit variations of it."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler import demo
from bundler.sandbox import offline

ROOT = Path(__file__).parents[2]
NOTEBOOK_PYTHON = ROOT / ".notebook-venv" / "bin" / "python"


@dataclass(frozen=True)
class Demo:
    """Where the demo ran, and the Python of its notebook."""

    out: Path
    python: Path

    @property
    def code(self) -> Path:
        """The runner that the notebook's first cell unpacked."""
        return next((self.out / "scratch").glob("rsna-bundle-*/code-*/runner"))


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the whole demo, network cut."""
    reason = offline.why_not()
    if not NOTEBOOK_PYTHON.is_file():
        reason = f"{NOTEBOOK_PYTHON} is missing: make test makes it"
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("demo")
    demo.run(out, str(NOTEBOOK_PYTHON))
    return Demo(out, NOTEBOOK_PYTHON)


Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(demonstrated: Demo, tmp_path: Path) -> Submit:
    """Return a function that runs the submission on an input folder, as the notebook does."""

    def run(mounted: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = ["-P", "-m", "inference.run", "--input", str(mounted)]
        words += ["--scratch", str(demonstrated.out / "scratch" / "again")]
        words += ["--output", str(tmp_path / "submission.csv"), "--workers", "2", *options]
        return subprocess.run(
            [demonstrated.python, *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(demonstrated.code)} | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def mounted(demonstrated: Demo, tmp_path: Path) -> Path:
    """A copy of the demo's input folder that a test may damage (hard links: replace files)."""
    copy = tmp_path / "input"
    subprocess.run(["cp", "-al", demonstrated.out / "input", copy], check=True)
    return copy
