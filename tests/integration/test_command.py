"""A command of one's own, from its repository to an executed notebook."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundler import bundle, snapshot
from bundler.notebook import submission
from bundler.settings import Settings
from tests import parts
from tests.integration.conftest import NOTEBOOK_PYTHON

SLUG = "leaf-disease"
# Every name that is ours, too, is used for something else here.
TREE = {
    "inference/__init__.py": "",
    "inference/leaves.py": "def predict(name):\n    return len(name) / 10\n",
    "train/__init__.py": "SCALE = 1\n",
    "bundler.py": "NAME = 'target'\n",
    "benchmarks/__init__.py": "",
    "predict.py": (
        "import csv, os\n"
        "import benchmarks, bundler, train\n"
        "from inference.leaves import predict\n"
        "rows = csv.DictReader(open(os.environ['RSNA_BUNDLE_COMPETITION'] + '/test.csv'))\n"
        "with open('submission.csv', 'w', newline='') as stream:\n"
        "    table = csv.writer(stream)\n"
        "    table.writerow(['id', bundler.NAME])\n"
        "    table.writerows([row['id'], predict(row['id']) * train.SCALE] for row in rows)\n"
        "print('predicted')\n"
    ),
}
# Killed at its first start, as by the kernel when memory runs out.
KILLED_ONCE = (
    "import os, signal\n"
    "from pathlib import Path\n"
    "if not Path('started').exists():\n"
    "    Path('started').touch()\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
    "Path('submission.csv').write_text('id,target\\n001,0\\n')\n"
)


@pytest.fixture(autouse=True)
def _needs_a_notebook() -> None:
    if not NOTEBOOK_PYTHON.is_file() and "CI" not in os.environ:
        pytest.skip(f"{NOTEBOOK_PYTHON} is missing: make test makes it")


def execute(
    root: Path, tree: dict[str, str], command: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Bundle a repository, write its notebook and execute it; return also what it says."""
    repository = root / "repository"
    for name, text in tree.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Mine"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    dist, mounted, working = root / "dist", root / "input", root / "working"
    settings = Settings(root=repository, competition=SLUG, run=command)
    snapshot.build(repository, dist / "code", run=command)
    bundle.write(dist / "libs", {}, parts.libs(python=python_of_the_notebook()))
    notebook = submission.write(dist, dist / "notebook", submission.plan(settings)).path
    for kind in ("code", "libs"):
        shutil.copytree(dist / kind, mounted / "datasets" / "me" / f"leaf-{kind}")
    competition = mounted / "competitions" / SLUG
    competition.mkdir(parents=True)
    (competition / "test.csv").write_text("id\n001\n02\n")
    (competition / "sample_submission.csv").write_text("id,target\n001,0\n02,0\n")
    working.mkdir()
    (root / "scratch").mkdir()
    words = [sys.executable, "-m", "bundler.notebook.execute", str(notebook), "executed.ipynb"]
    result = subprocess.run(
        [*words, "--python", str(NOTEBOOK_PYTHON)],
        cwd=working,
        env=os.environ
        | {
            "RSNA_BUNDLE_INPUT": str(mounted),
            "TMPDIR": str(root / "scratch"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    record: dict[str, Any] = json.loads((working / "run.json").read_text())
    return result, record


def python_of_the_notebook() -> str:
    """Return the version of the notebook's Python."""
    script = "import platform; print(platform.python_version())"
    words = [str(NOTEBOOK_PYTHON), "-c", script]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_a_repository_with_names_of_ours_submits(tmp_path: Path) -> None:
    result, record = execute(tmp_path, TREE, "python predict.py")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "predicted" in result.stdout
    written = (tmp_path / "working" / "submission.csv").read_text()
    assert written.splitlines() == ["id,target", "001,0.3", "02,0.2"]
    assert (record["run"], record["exit_code"]) == ("python predict.py", 0)
    assert record["submission"]["name"] == "submission.csv"
    assert set(record["ids"]) == {"libs", "code"}


def test_a_run_that_the_kernel_killed_is_started_once_more(tmp_path: Path) -> None:
    result, record = execute(tmp_path, {"predict.py": KILLED_ONCE}, "python predict.py")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "was ended by SIGKILL (most likely by the kernel" in result.stdout
    assert "it is started once more" in result.stdout
    assert record["exit_code"] == 0


def test_a_command_that_fails_fails_the_notebook(tmp_path: Path) -> None:
    result, record = execute(tmp_path, {"predict.py": "raise SystemExit(3)\n"}, "python predict.py")
    assert result.returncode == 1
    assert "inference.launch ended with exit code 3" in result.stderr
    assert record["exit_code"] == 3
