"""The command line as a user meets it: a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bundler


def rsna_bundle(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run rsna-bundle in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "bundler.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['rsna-bundle', '--help']\n"
        "from bundler.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code in (0, None)\n"
        "slow = {'torch', 'pandas', 'numpy', 'onnx', 'nbformat', 'timm', 'pip', 'mlflow', 'rich'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_click_lives_in_the_command_line_alone() -> None:
    root = Path(bundler.__file__).parent
    users = [path for path in root.rglob("*.py") if "import click" in path.read_text()]
    assert {path.parent for path in users} == {root / "cli"}


def test_code_as_a_user_runs_it(repository: Path) -> None:
    result = rsna_bundle(repository, "code", "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert (printed["kind"], printed["changed"]) == ("code", True)
    assert Path(printed["folder"]) == repository / "dist" / "code"
    assert (
        json.loads((repository / "dist" / "code" / "bundle.json").read_text())["id"]
        == printed["id"]
    )
    assert rsna_bundle(repository, "code", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["code"], 3, "is in no git repository"),
        (["notebook"], 3, "Build it with `rsna-bundle libs` first"),
        (["cod"], 2, "No such command 'cod'"),
        (["libs", "--check", "--publish"], 2, "nothing to --publish"),
    ],
)
def test_bad_input_gets_one_paragraph_and_a_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = rsna_bundle(tmp_path, *arguments)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
