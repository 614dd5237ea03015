"""What a run asked for and did not find: real programs fail, and a line says for want of what."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundler.rehearse.checks.causes import explain
from bundler.rehearse.checks.missing import Surroundings
from inference.boot import hints

SURROUNDINGS = Surroundings(
    tree=("submit.py", "weights/Best.npz", "config.yaml", "mypackage/nets.py"),
    columns={"test.csv": ("patient_id", "image_id", "site")},
    files=("test.csv", "sample_submission.csv"),
    mounts=("/kaggle/input/competitions/leaf", "/kaggle/input/datasets/me/leaf-model"),
)
HEAD = """\
import csv, io, os
from pathlib import Path
text = "patient_id,image_id,site\\n1,2,3\\n"
"""


def run(folder: Path, code: str) -> str:
    """Return what Python prints of the failure of a program."""
    script = folder / "submit.py"
    script.write_text(HEAD + code)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 1
    # As the launcher ends, which repeats what was cut off.
    last = "".join(f"  {line}\n" for line in done.stderr.splitlines()[-12:])
    return f"{done.stderr}error: The command ended with exit code 1. Its last lines:\n{last}"


@pytest.mark.parametrize(
    "code",
    [
        "next(csv.DictReader(io.StringIO(text)))['cancer']",
        "import pandas; pandas.read_csv(io.StringIO(text))['cancer']",
        "import pandas; pandas.read_csv(io.StringIO(text))[['site', 'cancer']]",
        "import pandas; pandas.read_csv(io.StringIO(text))[['cancer']]",
        "import pandas; pandas.read_csv(io.StringIO(text), usecols=['cancer', 'site'])",
    ],
    ids=["csv", "pandas", "pandas-some", "pandas-none", "pandas-usecols"],
)
def test_a_column_that_the_test_table_lacks(tmp_path: Path, code: str) -> None:
    cause = explain(run(tmp_path, code), SURROUNDINGS)
    assert cause == (
        "cancer is no column of test.csv, which has patient_id, image_id, site: the hidden test "
        "has neither labels nor what only the training table holds."
    )


def test_a_key_that_is_a_column_is_not_explained_as_a_missing_one(tmp_path: Path) -> None:
    assert explain(run(tmp_path, "{}['site']"), SURROUNDINGS) is None
    assert explain(run(tmp_path, "{}[3]"), SURROUNDINGS) is None


def test_a_variable_of_the_laptop(tmp_path: Path) -> None:
    cause = explain(run(tmp_path, "os.environ['DATA_ROOT']"), SURROUNDINGS)
    assert str(cause).startswith("The environment variable DATA_ROOT is not set in the notebook")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/kaggle/input/leaf-model/best.pth", "is in no dataset of the notebook: it has /kaggle/"),
        ("config.yaml", 'os.environ["RSNA_BUNDLE_CODE"] + "/config.yaml"'),
        ("weights/best.npz", "weights/best.npz does not exist, Best.npz does"),
    ],
)
def test_a_file_that_lies_elsewhere(tmp_path: Path, path: str, text: str) -> None:
    assert text in str(explain(run(tmp_path, f"open({path!r})"), SURROUNDINGS))


@pytest.mark.parametrize(
    "path", ["/kaggle/input/competitions/leaf/a.png", "nobody.knows", "/tmp/cache.bin"]
)
def test_a_file_of_which_nothing_is_known(tmp_path: Path, path: str) -> None:
    assert explain(run(tmp_path, f"open({path!r})"), SURROUNDINGS) is None


def test_a_package_with_its_line_for_the_wheelhouse(tmp_path: Path) -> None:
    log = run(tmp_path, "import nobody_has_this.inner")
    log = log.rstrip() + hints.missing_package(log)
    cause = str(explain(log, SURROUNDINGS))
    assert cause.startswith("The module nobody_has_this is neither in the notebook's image nor")
    assert cause.endswith("run `rsna-bundle libs`: nobody-has-this")
    assert "\n" not in cause


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (["test.csv"], "Download the competition's files again"),
        (["kaggle_evaluation", "test.csv"], "sys.path.append("),
    ],
)
def test_the_package_of_a_gateway(tmp_path: Path, files: list[str], advice: str) -> None:
    """It is on no index: to ask for it in the wheelhouse would lead nowhere, or to a stranger's."""
    log = run(tmp_path, "import kaggle_evaluation.gait_inference_server")
    hint = hints.missing_package(log)
    assert "Attach the competition to the notebook" in hint
    cause = str(explain(log.rstrip() + hint, Surroundings(files=files)))
    assert advice in cause
    assert "wheelhouse" not in hint + cause


@pytest.mark.parametrize(
    ("code", "name"),
    [("import numpy; numpy.float9", "float9"), ("from numpy import gone", "gone")],
)
def test_a_name_of_another_version(tmp_path: Path, code: str, name: str) -> None:
    cause = explain(run(tmp_path, code), SURROUNDINGS)
    assert str(cause).startswith(f"numpy has no {name} in the version that the notebook has")


def test_a_name_that_their_own_module_lacks_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "nets.py").write_text("")
    log = run(tmp_path, "from mypackage.nets import Net")
    assert "cannot import name 'Net'" in log
    assert explain(log, SURROUNDINGS) is None


def test_a_chain_that_ends_elsewhere_is_explained_by_its_end(tmp_path: Path) -> None:
    code = "try:\n    os.environ['A']\nexcept KeyError:\n    raise SystemExit(1) from None"
    assert explain(run(tmp_path, f"{code}\n"), SURROUNDINGS) is None
