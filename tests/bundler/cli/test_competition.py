"""`rsna-bundle competition`, as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from bundler import settings
from tests.bundler.competition import folders


def rsna_bundle(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run rsna-bundle in a folder."""
    command = [sys.executable, "-m", "bundler.cli", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_shows_writes_and_reads_it_back(tmp_path: Path) -> None:
    folders.images(tmp_path / "data")
    original = '[tool.rsna-bundle]\ncompetition = "leaf-disease"  # mine\n'
    (tmp_path / "pyproject.toml").write_text(original)
    shown = rsna_bundle(tmp_path, "competition", "--competition-dir", "data")
    assert shown.returncode == 0, shown.stderr
    assert "image_id" in shown.stdout
    assert (tmp_path / "pyproject.toml").read_text() == original, "nothing was to be written"
    written = rsna_bundle(tmp_path, "competition", "--competition-dir", "data", "--write")
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "pyproject.toml").read_text().startswith(original)
    assert settings.load(tmp_path).hidden.unit == "patient_id"
    again = rsna_bundle(tmp_path, "competition", "--competition-dir", "data", "--json")
    assert json.loads(again.stdout)["confirmed"] is True


def test_asks_by_its_exit_code_where_nobody_can_answer(tmp_path: Path) -> None:
    root = folders.images(tmp_path / "data")
    for number, path in enumerate(sorted((root / "test_images").iterdir())):
        path.rename(path.with_name(f"scan-{number}.png"))
    arguments = ("competition", "--competition-dir", "data", "--write")
    refused = rsna_bundle(tmp_path, *arguments)
    assert refused.returncode == 1
    assert "uncertain: files:" in refused.stdout
    assert "--set KEY=VALUE" in refused.stderr
    assert not (tmp_path / "pyproject.toml").exists()
    pair = "files=test_images/{image_id}.png:train_images/{image_id}.png"
    decided = rsna_bundle(tmp_path, *arguments, "--set", pair)
    assert decided.returncode == 0, decided.stderr


def test_a_typing_error_is_no_traceback(tmp_path: Path) -> None:
    folders.images(tmp_path / "data")
    base = ("competition", "--competition-dir", "data", "--set")
    for option, message in (("idd=x", "Did you mean 'id'"), ("id", "KEY=VALUE")):
        result = rsna_bundle(tmp_path, *base, option)
        assert result.returncode == 2
        assert message in result.stderr
    missing = rsna_bundle(tmp_path, "competition", "--competition-dir", "nowhere")
    assert missing.returncode == 3
    assert "nowhere is no folder" in missing.stderr
