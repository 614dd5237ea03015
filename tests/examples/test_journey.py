"""Each example from `init`'s settings to a rehearsed submission, by its README's own commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bundler import dependencies, settings
from bundler.image import interpreters
from bundler.image import target as targets
from bundler.image.interpreters import NoInterpreterError
from bundler.sandbox import offline
from tests.examples.conftest import EXAMPLES, LEFT_BY_USE, Copy

NOTEBOOK_PYTHON = EXAMPLES.parent / ".notebook-venv" / "bin" / "python"
SLOW = pytest.mark.slow
WAYS = [
    pytest.param(("tabular",), id="tabular"),
    pytest.param(("images",), id="images", marks=SLOW),
    pytest.param(("images", "--parquet"), id="images-parquet", marks=SLOW),
    pytest.param(("dicom-series",), id="dicom-series", marks=SLOW),
    pytest.param(("dicom-series", "--parquet"), id="dicom-series-parquet", marks=SLOW),
]


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    reason = offline.why_not()
    if reason and "CI" not in os.environ:
        pytest.skip(reason)


def commands(name: str, block: int) -> list[str]:
    """Return the commands of one of the blocks of an example's README."""
    readme = (EXAMPLES / name / "README.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[block].splitlines()


def run(folder: Path, command: str, expected: int = 0) -> str:
    """Run a line of a README, with this environment's `rsna-bundle` and `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command,
        cwd=folder,
        shell=True,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == expected, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def rehearse(
    folder: Path,
    name: str,
    python: Path = Path(sys.executable),
    *,
    model: bool = True,
    expected: int = 0,
) -> dict[str, Any]:
    """Run the commands that bundle and rehearse; return what the rehearsal wrote.

    This environment stands for the notebook's image, which has PyTorch and scikit-learn, too.
    """
    for command in commands(name, 1):
        if command.startswith("rsna-bundle rehearse"):
            run(folder, f"{command} --python {shlex.quote(str(python))}", expected)
        elif model or not command.startswith("rsna-bundle model"):
            run(folder, command)
    result: dict[str, Any] = json.loads((folder / "dist/rehearsal/rehearsal.json").read_text())
    return result


@pytest.mark.parametrize("way", WAYS)
def test_to_a_rehearsed_submission(copy: Copy, way: tuple[str, ...]) -> None:
    folder = copy(*way)
    shipped = settings.load(folder)
    (folder / "pyproject.toml").unlink()
    init = "rsna-bundle init --target host --competition-dir data --competition"
    run(folder, f"{init} {shipped.competition}")
    made = settings.load(folder)
    assert (made.competition, made.run, made.notebook, made.datasets.model) == (
        shipped.competition,
        shipped.run,
        shipped.notebook,
        shipped.datasets.model,
    )
    assert made.hidden.submission == f"submission.{'parquet' if way[1:] else 'csv'}"
    result = rehearse(folder, way[0])
    statuses = {check["name"]: check["status"] for check in result["checks"]}
    assert result["passed"]
    assert statuses["notebook ran"] == statuses["network"] == "passed"
    assert statuses[made.hidden.submission] == "passed"


@pytest.mark.slow
@pytest.mark.network  # the image's pandas and scikit-learn, where no cache has them yet
def test_on_kaggles_image_by_the_settings_that_init_writes(copy: Copy) -> None:
    """The default target: its Python, its packages at its versions, nothing of this environment."""
    target = targets.load(settings.Settings.target[0], EXAMPLES)
    try:
        interpreters.find(target)
    except NoInterpreterError as error:
        pytest.skip(str(error))
    folder = copy("tabular")
    (folder / "pyproject.toml").unlink()
    run(folder, "rsna-bundle init --competition-dir data --competition phantom-readmission")
    assert settings.load(folder).target == settings.Settings.target
    for command in commands("tabular", 1):
        run(folder, command)
    result = json.loads((folder / "dist/rehearsal/rehearsal.json").read_text())
    assert result["passed"]
    statuses = {check["name"]: check["status"] for check in result["checks"]}
    assert "python" not in statuses  # which would say that another one ran the notebook
    assert statuses["notebook ran (public test)"] == statuses["order and neighbours"] == "passed"
    assert result["provenance"]["python"].startswith(f"{target.short_python}.")


def test_the_skeleton_to_a_rehearsed_submission(trained: Copy, tmp_path: Path) -> None:
    """Nothing but the competition's files, and no model: valid, and known to be no answer yet.

    Until somebody makes it a constant of their own, which is a failure.
    """
    folder = tmp_path / "an empty folder"
    shutil.copytree(trained("tabular") / "data", folder / "data")
    init = "rsna-bundle init --target host --competition-dir data --competition"
    run(folder, f"{init} phantom-readmission")
    result = rehearse(folder, "tabular", model=False)
    (constant,) = [check for check in result["checks"] if check["name"] == "constant"]
    assert constant["status"] == "unproven"
    assert "still as `init` wrote it. Replace `predict()`" in constant["message"]
    script = folder / "submit.py"
    untouched = "return pd.DataFrame(columns=IDS)"
    assert untouched in script.read_text()
    script.write_text(script.read_text().replace(untouched, "return test.assign(readmitted=0.5)"))
    run(folder, "git commit -qam Predict && rsna-bundle code && rsna-bundle notebook")
    run(folder, f"rsna-bundle rehearse --python {shlex.quote(sys.executable)}", 1)
    result = json.loads((folder / "dist/rehearsal/rehearsal.json").read_text())
    failed = [check for check in result["checks"] if check["status"] == "failed"]
    assert {check["name"].partition(" (")[0] for check in failed} == {"constant"}


@pytest.mark.slow
def test_mammography_by_the_runner_in_the_box(tmp_path: Path) -> None:
    folder = tmp_path / "an entry"
    ignored = shutil.ignore_patterns(*LEFT_BY_USE)
    shutil.copytree(EXAMPLES / "mammography", folder, ignore=ignored)
    gpu, cpu = (dependencies.load().onnxruntime[kind] for kind in ("gpu", "cpu"))
    # Of the shipped list only ONNX Runtime's build is exchanged: this machine has no GPU.
    wheelhouse = (folder / "wheelhouse.txt").read_text()
    assert wheelhouse == dependencies.wheelhouse()
    (folder / "wheelhouse.txt").write_text(wheelhouse.replace(gpu, cpu))
    with (folder / "pyproject.toml").open("a") as stream:
        stream.write('target = "host"\n')
    for command in commands("mammography", 0):
        run(folder, command)
    result = rehearse(folder, "mammography", NOTEBOOK_PYTHON)
    statuses = {check["name"]: check["status"] for check in result["checks"]}
    assert result["passed"]
    assert statuses["notebook ran"] == statuses["submission.csv"] == statuses["parity"] == "passed"
    committed = subprocess.run(
        ["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()
    shipped = {path.name for path in (EXAMPLES / "mammography").iterdir()}
    assert set(committed) <= shipped  # nobody's images


def test_what_is_rehearsed_is_what_the_readme_says() -> None:
    """Every README's last block is the whole way, in order."""
    for name in ("tabular", "images", "dicom-series", "gateway", "mammography"):
        verbs = [line.split()[1] for line in commands(name, 1) if line.startswith("rsna-bundle")]
        assert verbs == ["libs", "model", "code", "notebook", "rehearse"]
        shipped = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())
        assert "rsna-bundle" in shipped["tool"]
