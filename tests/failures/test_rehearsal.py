"""What a rehearsal does with bad input, with a second one beside it, and when it is interrupted."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import CheckError, InputError, UsageError
from bundler.rehearse.lock import only_one
from bundler.sandbox import backends
from bundler.sandbox.backends import SandboxError
from inference.errors import BundleError
from tests.bundler.libs.packages import wheel
from tests.failures.conftest import ROOT, House, Plant, own_runner, processes_of

SCRIPT = """
import sys
from pathlib import Path
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.rehearsal import run
from bundler.settings import Settings
place = Path(sys.argv[1])
run(RehearseOptions(
    settings=Settings(root=place, target=("host",)), dist=place, out=place / "rehearsal",
    units=0, layouts=("new",), python=Path(sys.executable)))
"""


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_names_the_command_that_makes_a_missing_bundle(house: House, kind: str) -> None:
    (house.dist / kind / "bundle.json").unlink()
    with pytest.raises(InputError, match=f"Build it with `rsna-bundle {kind}` first"):
        house.rehearse()


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_refuses_a_bundle_of_an_older_format(house: House, kind: str) -> None:
    data = Path(__file__).parents[1] / "inference" / "boot" / "data" / "format-1"
    shutil.rmtree(house.dist / kind)
    shutil.copytree(data / kind, house.dist / kind)
    with pytest.raises(BundleError, match="has format 1; this version") as refusal:
        house.rehearse()
    assert refusal.value.exit_code == 4
    assert f"`rsna-bundle {kind}`" in str(refusal.value)


def test_names_the_command_that_makes_a_missing_notebook(house: House) -> None:
    (house.dist / "notebook" / "submission.ipynb").unlink()
    with pytest.raises(InputError, match="Write it with `rsna-bundle notebook`"):
        house.rehearse()


@pytest.mark.parametrize("content", ["", "{}", '{"cells": [{"source": "EXPECTED = {1"}]}'])
def test_refuses_what_is_no_notebook_of_ours(house: House, content: str) -> None:
    (house.dist / "notebook" / "submission.ipynb").write_text(content)
    with pytest.raises(InputError, match="is no submission notebook of this tool"):
        house.rehearse()


def test_refuses_options_that_make_no_sense(house: House, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--patients is -1"):
        house.rehearse(units=-1)
    with pytest.raises(UsageError, match="--competition-dir names the folder"):
        house.rehearse(competition_dir=tmp_path)
    with pytest.raises(InputError, match="Unknown target 'moon'"):
        replace(house, settings=replace(house.settings, target=("moon",))).rehearse()


def test_says_how_to_allow_namespaces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "choose", lambda: None)
    monkeypatch.setattr(backends, "reasons", lambda: {"namespaces": "Operation not permitted"})
    with pytest.raises(SandboxError, match="unprivileged_userns_clone=1") as caught:
        house.rehearse()
    assert "Operation not permitted" in str(caught.value)


def test_two_at_once_do_not_meet(house: House) -> None:
    with (
        only_one(house.dist / "rehearsal"),
        pytest.raises(CheckError, match=f"process {os.getpid()}"),
    ):
        house.rehearse()
    assert not list(house.dist.glob(".rehearsal*"))


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL]
)
def test_an_interrupted_rehearsal_leaves_nothing(plant: Plant, number: signal.Signals) -> None:
    house = plant(own_runner("import time; time.sleep(600)"))
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(house.dist)])
    end = time.monotonic() + 120
    while not _running(house.dist) and time.monotonic() < end:
        assert process.poll() is None, "it ended before it was interrupted"
        time.sleep(0.05)
    time.sleep(1.0)  # into the notebook
    process.send_signal(number)
    process.wait(60)
    end = time.monotonic() + 30
    while processes_of(house.dist) and time.monotonic() < end:
        time.sleep(0.05)
    assert processes_of(house.dist) == []
    assert Path("/proc/self/mountinfo").read_text().count("\n") == mounts
    if number == signal.SIGKILL:  # nobody could clean up: the next rehearsal does
        (left,) = house.dist.glob(".rehearsal-work-*")
        with pytest.raises(InputError):
            replace(house, settings=replace(house.settings, target=("moon",))).rehearse()
        assert not left.exists()
    assert not list(house.dist.glob(".rehearsal*"))


@pytest.mark.slow
def test_ten_kills_at_random_moments_leave_nothing(plant: Plant) -> None:
    """Each run finds what a killed one left, and frees it."""
    body = "open('big', 'wb').write(bytes(50_000_000)); import time; time.sleep(2)"
    house = plant(own_runner(body))
    mounts, loops = _mounts(), _loops(house.dist)
    for seed in range(10):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(house.dist)])
        delay = random.Random(seed).uniform(0.1, 12.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.kill()
        process.wait()
        end = time.monotonic() + 30
        while processes_of(house.dist) and time.monotonic() < end:
            time.sleep(0.05)
        assert processes_of(house.dist) == [], f"after {delay:.1f} s"
        assert _mounts() == mounts
        assert _loops(house.dist) == loops
        # What the runs before this one left is gone; its own is freed by the next.
        assert len(list(house.dist.glob(".rehearsal-work-*"))) <= 1
    with pytest.raises(InputError):
        replace(house, settings=replace(house.settings, target=("moon",))).rehearse()
    assert not list(house.dist.glob(".rehearsal*"))


def _mounts() -> int:
    return Path("/proc/self/mountinfo").read_text().count("\n")


def _loops(dist: Path) -> list[str]:
    """Return the loop devices whose file lies in a folder, gone or not."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [text for file in files if str(dist) in (text := file.read_text())]


def _running(dist: Path) -> bool:
    return any(dist.glob(".rehearsal-work-*/run-0/out"))


def test_a_full_disk_is_said_and_leaves_nothing(house: House) -> None:
    blocked = house.dist / "file"
    blocked.write_text("")
    from bundler.errors import BundlerError

    with pytest.raises(BundlerError, match="The rehearsal cannot go on"):
        house.rehearse(out=blocked / "rehearsal")


@pytest.mark.slow
def test_runs_another_python_where_the_targets_is_not_here(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    name, content = wheel("tiny", "1.0")
    (tmp_path / name).write_bytes(content)
    root = house.settings.root
    (root / "wheelhouse.txt").write_text(f"--find-links {tmp_path}\ntiny\n")
    image = {"format": 1, "name": "newer", "python": "3.99.0", "system": "linux"}
    image |= {"machine": os.uname().machine, "release": "2.17", "installed": []}
    (root / "newer.json").write_text(json.dumps(image))
    house = replace(house, settings=replace(house.settings, target=("newer.json",)))
    house.write_libs({name: tmp_path / name}, name="newer", python="3.99.0")
    rehearsal = house.rehearse()
    assert rehearsal.passed, rehearsal.summary()
    (message,) = [check.message for check in rehearsal.checks if check.name == "python"]
    assert "The target runs Python 3.99.0, which is not on this machine" in message
    assert "`uv python install 3.99`" in message


def command(house: House, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `rsna-bundle rehearse` on a house, as one types it."""
    own = ["--dist", str(house.dist), "--target", "host", "--python", sys.executable]
    return subprocess.run(
        [sys.executable, "-m", "bundler.cli", "rehearse", *own, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.slow
def test_the_command_exits_with_0_where_it_passed(house: House) -> None:
    result = command(house, "--patients", "0", "--layout", "new", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    printed = json.loads(result.stdout)
    assert printed["passed"] is True
    assert {"time", "memory", "disk"} <= {check["name"] for check in printed["checks"]}


def test_the_command_exits_with_1_where_it_failed(house: House) -> None:
    (house.dist / "code" / "tests").mkdir()
    result = command(house)
    assert result.returncode == 1
    assert result.stdout.startswith("The rehearsal FAILED: upload")
    assert "Traceback" not in result.stderr


def test_the_command_exits_with_3_on_bad_input(house: House) -> None:
    (house.dist / "code" / "bundle.json").unlink()
    result = command(house)
    assert result.returncode == 3
    assert "Build it with `rsna-bundle code` first" in result.stderr
