"""The submission notebook: equal bytes, and a first cell that stands alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundler import bundle, snapshot
from bundler.errors import InputError, UsageError
from bundler.notebook import submission
from bundler.settings import Settings
from inference.errors import BundleError
from tests.parts import NO_MODELS, libs

PLAN = submission.plan(Settings(root=Path()))


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
    written = submission.write(dist, dist / "notebook", PLAN)
    first = written.path.read_bytes()
    assert submission.write(dist, tmp_path / "again", PLAN).path.read_bytes() == first
    assert written.path.name == "submission.ipynb"


def test_carries_the_three_ids_and_the_verifier(dist: Path) -> None:
    written = submission.write(dist, dist / "notebook", PLAN)
    title, verify, run = cells_of(written.path)
    assert all(identity in verify for identity in written.ids.values())
    assert "def verify(" in verify
    assert "from inference" not in verify
    assert '"inference.launch"' in run
    assert '"inference.run"' in run
    assert title.startswith("# Submission to rsna-breast-cancer-detection")
    assert all(identity[:12] in title for identity in written.ids.values())


LIST = "\nprint(sorted(os.listdir(CODE)), sorted(os.listdir(CODE / 'tree')))"


def run_verify_cell(dist: Path, mounted: Path) -> subprocess.CompletedProcess[str]:
    """Run the first cell alone, with the standard library alone."""
    _, verify, _ = cells_of(submission.write(dist, dist / "notebook", PLAN).path)
    scratch = dist.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", verify + LIST],
        env=os.environ | {"RSNA_BUNDLE_INPUT": str(mounted), "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_first_cell_unpacks_the_verified_code(dist: Path) -> None:
    result = run_verify_cell(dist, dist)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "['runner', 'tree'] ['.gitignore', 'package']"
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


def test_first_cell_refuses_an_older_format(dist: Path, tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "inference" / "boot" / "data" / "format-1"
    result = run_verify_cell(dist, old)
    assert result.returncode != 0
    assert "has format 1; this version of rsna-bundle reads format 2 only" in result.stderr
    assert "`rsna-bundle code`" in result.stderr


def test_the_notebook_of_an_older_format_is_not_written(dist: Path) -> None:
    path = dist / "code" / "bundle.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(BundleError, match="has format 1") as refusal:
        submission.write(dist, dist / "notebook", PLAN)
    assert refusal.value.exit_code == 4


def test_the_verifier_is_collapsed_below_a_title(dist: Path) -> None:
    written = submission.write(dist, dist / "notebook", PLAN)
    title, verify, run = json.loads(written.path.read_text())["cells"]
    assert title["cell_type"] == "markdown"
    assert verify["metadata"] == {"jupyter": {"source_hidden": True}, "_kg_hide-input": True}
    assert run["metadata"] == {}
    assert len(run["source"]) < 40  # lines that a first-time reader meets


def test_a_command_of_ones_own(dist: Path) -> None:
    settings = Settings(root=dist, competition="leaf", run="python -m mine --x 'a b'")
    plan = submission.plan(settings)
    assert plan.command == ("python", "-m", "mine", "--x", "a b")
    assert plan.options == ("--competition", "leaf", "--time-limit", "32400")
    *_, run = cells_of(submission.write(dist, dist / "notebook", plan).path)
    assert 'RUN = ["python", "-m", "mine", "--x", "a b"]' in run


def test_a_command_of_ones_own_may_do_without_a_model(dist: Path) -> None:
    shutil.rmtree(dist / "model")
    plan = submission.plan(Settings(root=dist, run="python -m mine"))
    written = submission.write(dist, dist / "notebook", plan)
    assert set(written.ids) == {"libs", "code"}
    with pytest.raises(InputError, match="`rsna-bundle model` first"):
        submission.write(dist, dist / "notebook", PLAN)


@pytest.mark.parametrize(("command", "message"), [("", "is empty"), ("x 'y", "cannot be read")])
def test_what_is_no_command_is_refused(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        submission.plan(Settings(root=Path(), run=command))


def test_names_the_command_that_builds_a_missing_bundle(dist: Path) -> None:
    (dist / "model" / "bundle.json").unlink()
    with pytest.raises(InputError, match="`rsna-bundle model` first"):
        submission.write(dist, dist / "notebook", PLAN)
