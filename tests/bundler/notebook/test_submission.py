"""The submission notebook: equal bytes, and a first cell that stands alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundler import bundle, snapshot
from bundler.errors import InputError
from bundler.notebook import submission
from tests.parts import NO_MODELS, libs


@pytest.fixture
def dist(tmp_path: Path, repository: Path) -> Path:
    """A dist folder with three bundles."""
    snapshot.build(repository, tmp_path / "dist" / "code")
    bundle.write(tmp_path / "dist" / "libs", {}, libs())
    bundle.write(tmp_path / "dist" / "model", {}, NO_MODELS)
    return tmp_path / "dist"


def cells_of(path: Path) -> list[str]:
    """Return the source of each cell."""
    notebook: dict[str, Any] = json.loads(path.read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_is_byte_identical_when_rewritten(dist: Path, tmp_path: Path) -> None:
    written = submission.write(dist, dist / "notebook")
    first = written.path.read_bytes()
    assert submission.write(dist, tmp_path / "again").path.read_bytes() == first
    assert written.path.name == "submission.ipynb"


def test_carries_the_three_ids_and_the_verifier(dist: Path) -> None:
    written = submission.write(dist, dist / "notebook")
    verify, run = cells_of(written.path)
    assert all(identity in verify for identity in written.ids.values())
    assert "def verify(" in verify
    assert "from inference" not in verify
    assert '"inference.run"' in run


def run_verify_cell(dist: Path, mounted: Path) -> subprocess.CompletedProcess[str]:
    """Run the first cell alone, with the standard library alone."""
    verify, _ = cells_of(submission.write(dist, dist / "notebook").path)
    scratch = dist.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", verify + "\nprint(sorted(os.listdir(CODE)))"],
        env=os.environ | {"RSNA_BUNDLE_INPUT": str(mounted), "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_first_cell_unpacks_the_verified_code(dist: Path) -> None:
    result = run_verify_cell(dist, dist)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "['.gitignore', 'inference', 'package']"
    assert run_verify_cell(dist, dist).returncode == 0  # and again, over what lies there


def test_first_cell_refuses_altered_code(dist: Path) -> None:
    with (dist / "code" / "tree.zip.tmp").open("ab") as stream:
        stream.write(b"more")
    result = run_verify_cell(dist, dist)
    assert result.returncode != 0
    assert "tree.zip.tmp was altered" in result.stderr


def test_first_cell_refuses_a_stale_dataset(dist: Path, repository: Path, tmp_path: Path) -> None:
    (repository / "more.py").write_text("MORE = 1\n")
    snapshot.build(repository, tmp_path / "input" / "code", allow_dirty=True)
    result = run_verify_cell(dist, tmp_path / "input")
    assert result.returncode != 0
    assert "the dataset has another version" in result.stderr


def test_names_the_command_that_builds_a_missing_bundle(dist: Path) -> None:
    (dist / "model" / "bundle.json").unlink()
    with pytest.raises(InputError, match="`rsna-bundle model` first"):
        submission.write(dist, dist / "notebook")
