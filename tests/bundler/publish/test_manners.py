"""What a terminal shows: an error in one line, within seconds, and no sequences of others."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from bundler.publish import reach
from bundler.publish.failures import OfflineError
from bundler.publish.plain import plain
from tests.bundler.publish.test_commands import rsna_bundle

ROOT = Path(__file__).parents[3]
OFFLINE = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without credentials; nothing here ever reaches the real service."""
    for name in list(os.environ):
        if name.startswith("KAGGLE") or name.upper() in ("NO_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[1;1Herror: forged", "error: forged"),
        ("10%\r50%\r100%\r\ndone", "100%\ndone"),
        ("a\x08\x07b\x9b31m", "ab31m"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("tab\tand ü", "tab\tand ü"),
        ("\x1b[", ""),
    ],
)
def test_no_sequence_reaches_the_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_offline_is_said(nobody: Path) -> None:
    with pytest.raises(OfflineError, match=r"offline: no connection to 127\.0\.0\.1:9 \(.*refused"):
        reach.check()


def test_a_connection_that_nobody_answers(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE", 0.05)

    def hang(*_: object) -> None:
        threading.Event().wait(0.5)

    monkeypatch.setattr(reach, "_connect", hang)
    with pytest.raises(OfflineError, match="no response"):
        reach.check()


def test_status_without_a_network(nobody: Path) -> None:
    result = rsna_bundle(nobody, "status")
    assert result.returncode == 0, result.stderr
    assert "not built: rsna-bundle libs" in result.stdout
    assert "Kaggle was not asked. This machine is offline" in result.stdout


def test_publish_offline_says_so_in_one_line(nobody: Path) -> None:
    result = rsna_bundle(nobody, "history", "--update")
    assert result.returncode == 0  # nothing to ask for
    result = rsna_bundle(nobody, "competition")
    assert result.returncode == 8
    assert result.stderr.splitlines()[-1].startswith("error: This machine is offline")
    assert result.stderr.count("redentials") == 0  # no banner of the client


def test_the_doctor_tells_no_network_from_no_credentials(nobody: Path, repository: Path) -> None:
    findings = {
        one["name"]: one
        for one in json.loads(rsna_bundle(repository, "doctor", "--json").stdout)["findings"]
    }
    assert "offline" in findings["network"]["message"]
    assert "No valid Kaggle credentials" in findings["credentials"]["message"]
    (nobody / ".kaggle").mkdir()
    (nobody / ".kaggle" / "kaggle.json").write_text('{"username": "rosa", "key": "x"}')
    (nobody / ".kaggle" / "kaggle.json").chmod(0o600)
    findings = {
        one["name"]: one
        for one in json.loads(rsna_bundle(repository, "doctor", "--json").stdout)["findings"]
    }
    assert findings["credentials"]["message"] == "not checked without a network"


def test_the_doctor_agrees_with_code(nobody: Path, repository: Path) -> None:
    (repository / "submissions.csv").write_text("id\n")
    found = json.loads(rsna_bundle(repository, "doctor", "--json").stdout)["findings"]
    (row,) = [one for one in found if one["name"] == "repository"]
    assert row["state"] == "ok"
    assert rsna_bundle(repository, "code").returncode == 0
    (repository / "new.py").write_text("x = 1\n")
    found = json.loads(rsna_bundle(repository, "doctor", "--json").stdout)["findings"]
    (row,) = [one for one in found if one["name"] == "repository"]
    assert "1 uncommitted files" in row["message"]
    assert rsna_bundle(repository, "code").returncode == 3


def test_a_dry_run_without_an_account(nobody: Path, repository: Path) -> None:
    settings = '[tool.rsna-bundle]\nrun = "python -m package.module"\nowner = "rosa"\n'
    (repository / "pyproject.toml").write_text(settings + 'target = "host"\n')
    (repository / "wheelhouse.txt").write_text("")
    for command in (["add", "."], ["commit", "-qm", "Settings"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    result = rsna_bundle(repository, "submit", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "code   here " in result.stdout
    assert "push rosa/rsna-bundle-submission" in result.stdout
    assert "(an unknown number of submissions left today)" in result.stdout
    assert "Kaggle was not asked. This machine is offline" in result.stdout
