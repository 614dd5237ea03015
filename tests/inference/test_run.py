"""The entry: what it imports and when, and how it ends."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inference
from benchmarks.basics import packages_before_install

PACKAGE = Path(inference.__file__).parent


def test_imports_only_the_standard_library_before_the_install(tmp_path: Path) -> None:
    assert packages_before_install(tmp_path) == set()


def test_imports_nothing_of_the_other_floors() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in ("bundler", "train", "benchmarks"), path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the submission as a process, in an empty folder."""
    options = ["--scratch", "scratch", *arguments]
    command = [sys.executable, "-m", "inference.run", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--input", "nowhere"], 4, "input folder nowhere does not exist"),
        (["--input", "."], 4, "No libs bundle is mounted"),
        (["--expect-id", "libs"], 2, "is not KIND=ID"),
        (["--expect-id", "lib=1"], 2, "is not KIND=ID"),
        (["--workers", "0"], 2, "at least 1"),
        (["--device", "tpu"], 2, "invalid choice"),
        *((["--time-limit", text], 2, "--time-limit") for text in ("nan", "-1", "0", "inf", "x")),
        *((["--max-failures", text], 2, "--max-failures") for text in ("nan", "-0.1", "1.1", "x")),
        (["--scratch", "/dev/null/x"], 4, "The scratch folder /dev/null/x cannot be made: Not a"),
        (["--output", "submission.json"], 2, "a file of that name goes beside it"),
        (["--output", "x/predictions.csv"], 2, "a file of that name goes beside it"),
    ],
)
def test_bad_usage_gets_a_message_and_its_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run(tmp_path, *arguments)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert message in result.stderr
    assert list(tmp_path.glob("submission*")) == []


def test_an_old_submission_is_out_of_the_way_of_a_run_that_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_text("old")
    for options in ((), ("--no-seed",)):
        assert run(tmp_path, "--input", ".", *options).returncode == 4
        assert [path.name for path in tmp_path.glob("submission*")] == ["submission.csv.old"]
