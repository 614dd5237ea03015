"""A runner that is killed at any moment, and started again: nothing is lost, nothing is mixed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundler.notebook import submission
from bundler.settings import Settings
from tests.inference.mounts import SLOW, SLUG, Mount, Mounted, rows_of, wait_for


@pytest.fixture
def mounted(mount: Mount) -> Mounted:
    """Ten patients: 40 images."""
    return mount(10)


def undisturbed(mounted: Mounted) -> bytes:
    """Return submission.csv of a run that nobody disturbs."""
    result = mounted.run()
    assert result.returncode == 0, result.stderr
    return mounted.csv.read_bytes()


def kill_when(mounted: Mounted, predicted: int, *options: str) -> None:
    """Start the runner, and kill it once so many images are predicted."""
    mounted.plant(SLOW.format(seconds=0.05))
    with mounted.start(*options) as process:
        wait_for(lambda: lines(mounted) > predicted)
        process.kill()
    mounted.plant("")


def lines(mounted: Mounted) -> int:
    """Return how many lines the newest journal has."""
    return max((path.read_bytes().count(b"\n") for path in mounted.journals), default=0)


def test_goes_on_where_it_was_killed(mounted: Mounted) -> None:
    expected = undisturbed(mounted)
    before = mounted.report
    kill_when(mounted, 15)
    result = mounted.run()
    assert result.returncode == 0, result.stderr
    assert mounted.csv.read_bytes() == expected
    report = mounted.report
    assert report["resumed_images"] >= 15
    assert f"resume {report['resumed_images']} of 40 images" in result.stdout
    assert f"{report['resumed_images']} by an earlier run" in result.stdout
    assert report["images"] == before["images"]  # what was resumed counts as it did
    assert (report["state"], report["csv_sha256"]) == ("complete", before["csv_sha256"])
    assert mounted.journals == []


def test_what_was_resumed_is_in_the_submission_at_once(mounted: Mounted) -> None:
    kill_when(mounted, 25)
    mounted.plant(SLOW.format(seconds=5))
    with mounted.start() as process:
        wait_for(lambda: mounted.csv.is_file() and len(set(mounted.values().values())) > 10)
        process.kill()
    assert mounted.report["state"] == "partial"
    assert mounted.report["resumed_images"] >= 25


def test_failures_are_tried_again(mounted: Mounted) -> None:
    expected = undisturbed(mounted)
    path = mounted.image("3RCC")
    path.rename(mounted.root / "kept")
    assert mounted.run().returncode == 6
    (mounted.root / "kept").rename(path)
    assert mounted.run().returncode == 0
    assert mounted.report["resumed_images"] == 39
    assert mounted.csv.read_bytes() == expected


def test_a_changed_image_is_predicted_again(mounted: Mounted) -> None:
    kill_when(mounted, 39)
    for name in ("0LCC", "0LMLO"):
        mounted.image(name).write_bytes(mounted.image("7RCC").read_bytes())
    mounted.image("1LCC").unlink()
    assert mounted.run("--max-failures", "0.1").returncode == 0
    resumed = mounted.csv.read_bytes()
    assert mounted.report["resumed_images"] <= 37
    assert mounted.report["failures"] == {"missing": ["1LCC"]}
    assert mounted.run("--max-failures", "0.1").returncode == 0
    assert mounted.report["resumed_images"] == 0
    assert mounted.csv.read_bytes() == resumed


@pytest.mark.parametrize("change", ["flip", "table", "output"])
def test_predictions_of_another_run_are_never_mixed_in(mounted: Mounted, change: str) -> None:
    kill_when(mounted, 20)
    options = {"flip": ("--flip",), "output": ("--output", "other/submission.csv")}
    if change == "table":
        rows = rows_of(mounted)
        mounted.write_table([rows[1], rows[0], *rows[2:]])  # the indices are others'
    result = mounted.run(*options.get(change, ()))
    assert result.returncode == 0, result.stderr
    assert "resume" not in result.stdout


def test_a_journal_on_a_full_disk_costs_a_warning(mounted: Mounted) -> None:
    expected = undisturbed(mounted)
    mounted.plant(
        "from inference import journal\n"
        "real = journal.write_all\n"
        "def full(descriptor, content):\n"
        "    if os.fstat(descriptor).st_size < 1000: return real(descriptor, content)\n"
        "    real(descriptor, content[:7])\n"  # the first half of a line is on the disk
        "    raise OSError(28, 'No space left on device')\n"
        "journal.write_all = full\n"
    )
    result = mounted.run()
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("No space left on device") == 1
    assert "predictions are no longer kept" in result.stderr
    assert mounted.csv.read_bytes() == expected


TRIES = 20


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in listed.read_text().split()]
    except OSError:
        return []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_kill_of_any_process_at_any_moment(mounted: Mounted) -> None:
    expected = undisturbed(mounted)
    mounted.plant(SLOW.format(seconds=0.05))
    chance = random.Random(7)
    resumed = 0
    for number in range(TRIES):
        with mounted.start() as process:
            time.sleep(chance.uniform(0, 4))
            family = children(process.pid)
            victim = chance.choice(family) if family and number % 2 else process.pid
            if process.poll() is None:
                os.kill(victim, signal.SIGKILL)
            assert process.stdout is not None
            output = process.stdout.read()
        assert process.wait() in (0, -signal.SIGKILL), output
        resumed += "resume" in output
        if process.returncode == 0:
            assert mounted.csv.read_bytes() == expected
    assert mounted.run().returncode == 0
    assert mounted.csv.read_bytes() == expected
    assert resumed > 0


KILLED_ONCE = """\
from inference import journal
append = journal.Journal.append
def append_and_die(self, predictions):
    append(self, predictions)
    mark = Path(os.environ["MARK"])
    if os.fstat(self._descriptor).st_size > 2000 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal.append = append_and_die
"""


def test_the_notebooks_cell_starts_a_killed_runner_once_more(mounted: Mounted) -> None:
    expected = undisturbed(mounted)
    mounted.csv.unlink()
    datasets = mounted.root / "input" / "datasets" / "me"
    plan = submission.plan(Settings(root=mounted.root, competition=SLUG, time_limit_hours=1))
    notebook = submission.write(datasets, mounted.root / "notebook", plan).path
    cells = [
        cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    script = mounted.root / "cells.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in cells))
    mounted.plant(KILLED_ONCE)
    result = subprocess.run(
        [sys.executable, "-P", script],
        env=mounted.environment(
            MARK=str(mounted.root / "mark"),
            RSNA_BUNDLE_INPUT=str(mounted.root / "input"),
            RSNA_BUNDLE_SCRATCH=str(mounted.root / "scratch"),
        ),
        cwd=mounted.working,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "it is started once more" in result.stdout
    report = mounted.report
    assert report["resumed_images"] > 10
    assert f"resume {report['resumed_images']} of 40 images" in result.stdout
    assert mounted.csv.read_bytes() == expected
    record = json.loads((mounted.working / "run.json").read_text())
    assert record["submission"]["sha256"] == report["csv_sha256"]
    # The limit of an hour counts from the first start: the second one's seconds go on from there.
    assert report["seconds"]["total"] > record["seconds"]
