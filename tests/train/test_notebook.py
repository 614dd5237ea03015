"""The training notebook: executed for real, from a clone to the runs in a bucket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.errors import InputError
from bundler.notebook import training

ROOT = Path(__file__).resolve().parents[2]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository of its own with this code in it."""
    folder = tmp_path_factory.mktemp("origin")
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in files:
        if name.startswith(("train/", "inference/")) and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


def execute(cells: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the cells as one program, as the kernel does one after the other."""
    script = folder / "cells.py"
    script.write_text("\n".join(cells))
    environment = os.environ | {"PYTHONPATH": ""}
    command = [sys.executable, "-P", str(script)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_newest_commit_is_trained_and_its_runs_pushed(repository, small, tmp_path):
    import json

    overrides = [setting for setting in small if setting != "tracking=none"]
    bucket = tmp_path / "bucket"
    cells = training.cells(f"file://{repository}", "main", overrides, str(bucket))
    first = execute(cells, tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    (manifest,) = bucket.glob("*/run.json")
    run = json.loads(manifest.read_text())
    assert run["status"] == "FINISHED"
    assert run["tags"]["git.commit"] == git(repository, "rev-parse", "HEAD")
    assert run["tags"]["git.dirty"] == "False"
    assert any(name.startswith("checkpoints/fold0_epoch") for name in run["artifacts"])

    # A later commit is what the same notebook trains next; a failure is pushed and told.
    (repository / "train" / "run.py").write_text("raise SystemExit(9)\n")
    git(repository, "commit", "--quiet", "-am", "Break")
    second = execute(cells, tmp_path)
    assert second.returncode != 0
    assert git(repository, "rev-parse", "HEAD") in second.stdout
    assert "train.run ended with exit code 9, train.sync with 0" in second.stderr


def test_equal_input_gives_equal_bytes(tmp_path):
    wishes = {
        "repository": "https://example.org/me/rsna.git",
        "overrides": ["experiment=strong", "data.dir=/kaggle/input/x"],
        "bucket": "gs://mine/runs",
    }
    first = training.write(tmp_path / "a", **wishes)
    second = training.write(tmp_path / "b", **wishes)
    text = first.path.read_text()
    assert text == second.path.read_text()
    for word in ("experiment=strong", "gs://mine/runs", "gcsfs", "https://example.org/me/rsna.git"):
        assert word in text
    assert "pushes its runs to gs://mine/runs" in first.summary()


def test_without_a_bucket_nothing_is_pushed():
    assert "train.sync" not in "".join(training.cells("https://example.org/r", "main", [], None))


def test_a_password_in_an_address_is_refused(tmp_path):
    for secret in ("me:hunter2", "hunter2"):
        with pytest.raises(InputError, match="carries a password") as refused:
            training.write(tmp_path, repository=f"https://{secret}@example.org/r.git")
        assert "hunter2" not in str(refused.value)
    assert not list(tmp_path.iterdir())
    training.write(tmp_path, repository="ssh://git@example.org/r.git")  # a name is no secret
