"""The entry: what it imports and when, and how it ends."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import inference

PACKAGE = Path(inference.__file__).parent

# Runs the submission up to the install, and prints every module that was imported by then.
BEFORE_INSTALL = """
import sys
before = set(sys.modules)
from inference import run
from inference.boot import install
def stop(bundle, scratch):
    print(*sorted(set(sys.modules) - before))
    raise SystemExit(0)
install.install = stop
run.main(["--input", sys.argv[1], "--scratch", sys.argv[2]])
"""


def packages_before_install(tmp_path: Path) -> set[str]:
    """Return the top-level packages that the runner imports before it installs the wheels."""
    from bundler import bundle

    target = {"name": "host", "python": "3"}
    bundle.write(tmp_path / "libs", "libs", {}, {"lock": [], "target": target})
    bundle.write(tmp_path / "model", "model", {}, {"models": []})
    bundle.write(tmp_path / "code", "code", {}, {"commit": "c"})
    result = subprocess.run(
        [sys.executable, "-S", "-c", BEFORE_INSTALL, tmp_path, tmp_path / "scratch"],
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip(), result.stderr
    return {name.partition(".")[0] for name in result.stdout.split()}


def test_imports_only_the_standard_library_before_the_install(tmp_path: Path) -> None:
    outside = packages_before_install(tmp_path) - set(sys.stdlib_module_names)
    assert outside == {"inference"}


def test_imports_nothing_of_the_other_floors() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in ("bundler", "train", "benchmarks"), path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the submission as a process."""
    command = [sys.executable, "-m", "inference.run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--input", "nowhere"], 4, "input folder nowhere does not exist"),
        (["--input", "."], 4, "No libs bundle is mounted"),
        (["--expect-id", "libs"], 2, "is not KIND=ID"),
        (["--expect-id", "lib=1"], 2, "is not KIND=ID"),
        (["--workers", "0"], 2, "at least 1"),
        (["--device", "tpu"], 2, "invalid choice"),
    ],
)
def test_bad_usage_gets_a_message_and_its_code(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    result = run("--scratch", tmp_path, "--output", tmp_path / "submission.csv", *arguments)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr
    assert said in result.stderr
    assert list(tmp_path.glob("submission*")) == []
