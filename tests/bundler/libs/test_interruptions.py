"""A kill in the middle, a full disk, a folder that cannot be written, two runs at once."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError
from inference.boot import bundle as reader
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
ROOT = Path(__file__).parents[3]


def command(folder: Path, *more: str) -> list[str]:
    libs = ["libs", "--requirements", str(folder / "wheelhouse.txt"), "--target", "image.json"]
    out = ["--out", str(folder / "dist" / "libs"), "--no-install-test"]
    return [sys.executable, "-m", "bundler.cli", *libs, *out, *more]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def halfway(folder: Path) -> bool:
    """Say whether a part of the large wheel has been written."""
    parts = (folder / "cache" / "files").rglob("large*.part")
    return any(path.stat().st_size > 500_000 for path in parts)


def test_kill_in_the_middle_leaves_the_old_bundle_and_the_next_run_goes_on(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    first = libs("pydicom")
    lock = (folder / "wheelhouse.lock").read_bytes()
    registry.add(wheel("large", "1.0", body="x = '" + "0123456789" * 300_000 + "'\n"))
    registry.faults["large-1.0-py3-none-any.whl"] = "stall"
    (folder / "wheelhouse.txt").write_text("pydicom\nlarge\n")

    with subprocess.Popen(command(folder), env=environment(), cwd=folder) as run:
        deadline = time.monotonic() + 60
        while run.poll() is None and not halfway(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    registry.faults.clear()
    registry.release.set()

    assert reader.verify(folder / "dist" / "libs").id == first.built.bundle.id
    assert (folder / "wheelhouse.lock").read_bytes() == lock
    registry.log.clear()
    made = libs()
    reader.verify(folder / "dist" / "libs")
    assert {pin.name for pin in made.lock.pins} == {"pydicom", "large"}
    assert [
        path for path in registry.asked("/files/large-1.0-py3-none-any.whl ") if "bytes=" in path
    ]


def test_full_disk_is_said_and_harms_nothing(libs: Libs, registry: Registry, folder: Path) -> None:
    if not shutil.which("unshare") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root and unshare")
    libs("pydicom")
    before = reader.verify(folder / "dist" / "libs").id
    registry.add(wheel("large", "1.0", body="x = '" + "0123456789" * 300_000 + "'\n"))
    (folder / "wheelhouse.txt").write_text("pydicom\nlarge\n")
    small = folder / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{small}" && exec "$@"'

    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", *command(folder)],
        env=environment(RSNA_BUNDLE_CACHE=str(small)),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if "mount" in result.stderr and "permission" in result.stderr.lower():
        pytest.skip("this machine does not let root mount a small disk")

    assert result.returncode == 3, result.stderr
    assert "No space left on device" in result.stderr
    assert "RSNA_BUNDLE_CACHE" in result.stderr
    assert reader.verify(folder / "dist" / "libs").id == before


def test_cache_that_cannot_be_written_is_said(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "file"))

    with pytest.raises(BundlerError, match="RSNA_BUNDLE_CACHE"):
        libs("pydicom")


def test_two_runs_at_once_both_end_well(libs: Libs, registry: Registry, folder: Path) -> None:
    libs("numpy")
    (folder / "wheelhouse.txt").write_text("albumentations\npydicom\n")
    runs = [
        subprocess.Popen(command(folder), env=environment(), cwd=folder, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]

    assert [run.wait(120) for run in runs] == [0, 0]
    reader.verify(folder / "dist" / "libs")


def test_command_prints_json_and_exit_codes(libs: Libs, registry: Registry, folder: Path) -> None:
    import json

    libs("pydicom")

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(folder, *more), env=environment(), cwd=folder, capture_output=True, text=True
        )

    said = json.loads(run("--json").stdout)
    assert said["packages"] == {"pydicom": "3.0.2"}
    assert said["changed"] is False
    assert run("--quiet").stdout == ""
    assert run("--check").returncode == 0
    (folder / "wheelhouse.txt").write_text("numpy\n")
    stale = run("--check")
    assert (stale.returncode, stale.stdout) == (1, "")
    assert "Run `rsna-bundle libs`" in stale.stderr
    (folder / "wheelhouse.txt").write_text("pydicm\n")
    wrong = run()
    assert wrong.returncode == 3
    assert "Traceback" not in wrong.stderr


def test_two_tested_builds_at_once_both_end_well(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    registry.add(sdist("inner", "1.0"))
    (folder / "wheelhouse.txt").write_text("inner\npydicom\n")
    line = [part for part in command(folder) if part != "--no-install-test"]
    line[line.index("image.json")] = "host"
    runs = [
        subprocess.Popen(line, env=environment(), cwd=folder, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]

    assert [run.wait(200) for run in runs] == [0, 0]
    reader.verify(folder / "dist" / "libs")


def test_what_a_kill_left_in_the_temporary_folder_is_freed_by_the_next_run(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (folder / "wheelhouse.txt").write_text("pydicom\n")
    registry.add(wheel("pydicom", "9.0", body="import time\ntime.sleep(600)\n"))
    line = [part for part in command(folder) if part != "--no-install-test"]
    line[line.index("image.json")] = "host"

    with subprocess.Popen(line, env=environment(TMPDIR=str(temporary)), cwd=folder) as run:
        deadline = time.monotonic() + 120
        while run.poll() is None and not [*temporary.glob("rsna-bundle-install-test-*/empty")]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    assert [*temporary.glob("rsna-bundle-install-test-*")]
    assert [*(folder / "dist").glob(".libs-candidate-*")]

    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    libs("pydicom<9", target="host", install_test=True)

    assert not [*temporary.glob("rsna-bundle-install-test-*")]
    assert not [*(folder / "dist").glob(".libs-candidate-*")]
