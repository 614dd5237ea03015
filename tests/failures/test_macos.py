"""A rehearsal below another root, as on macOS; what its sandbox does is not shown here."""

import os
from pathlib import Path

import pytest

from bundler.sandbox import backends
from tests.failures.conftest import House, Plant, failed, processes_of


@pytest.fixture(autouse=True)
def substitute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a `sandbox-exec` in place that leaves its profile aside and runs the command."""
    program = tmp_path / "bin" / "sandbox-exec"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = -p ] || exit 2\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(backends, "choose", lambda: "sandbox-exec")


def test_the_notebook_finds_everything_below_the_root(house: House) -> None:
    rehearsal = house.rehearse()
    assert rehearsal.passed, rehearsal.summary()
    assert {"parity", "modules", "time"} <= {check.name for check in rehearsal.checks}
    assert "sandbox-exec) is untested" in rehearsal.summary()
    assert "sandbox-exec) is untested" in rehearsal.report.read_text()
    assert processes_of(house.dist) == []
    assert not list(house.dist.glob(".rehearsal*"))


def test_writing_elsewhere_is_noticed_below_a_root_too(plant: Plant, tmp_path: Path) -> None:
    body = f"def replay(*_):\n    open({str(tmp_path / 'x')!r}, 'w').close()\n"
    messages = failed(plant({"inference/golden.py": body}).rehearse())
    assert f"The run tried to write {tmp_path / 'x'} (read-only on Kaggle)" in messages["writes"]
    assert "inference/golden.py:2 in replay" in messages["writes"]
