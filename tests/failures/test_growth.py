"""What grows with the test set, planted: a few rows show it, the hidden test would die of it.

Each is caught with its quantity and its place named. Sound runs are said to be sound.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.competition.check import Check
from bundler.rehearse.result import Rehearsal
from bundler.rehearse.run import sampling
from bundler.settings import Settings
from tests.bundler.competition import folders
from tests.bundler.competition.test_general import SUBMIT
from tests.failures.conftest import House, Plant, runner, write_code_bundle

UNITS = 32_000
BOTH = ("new", "legacy")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that no other program is at work, as the tests beside this one are."""
    monkeypatch.setattr(sampling, "busy_seconds", lambda cpus: None)


def checks(rehearsal: Rehearsal) -> Mapping[str, Check]:
    """Return the checks by name; the notebook must have run to its end each time."""
    ran = [check for check in rehearsal.checks if check.name.startswith("notebook ran")]
    assert {check.status for check in ran} == {"passed"}, rehearsal.summary()
    return {check.name: check for check in rehearsal.checks}


# --- the runner for mammograms ---

# In the parent, once for each image that comes from the workers.
PARENT = """

_load_all, HELD = load_all, []


def load_all(*arguments, **named):
    for number, result in enumerate(_load_all(*arguments, **named)):
        {plant}
        yield result
"""
# In each worker, once for each image that it loads.
WORKER = """

_load, HELD = load, []


def load(*arguments, **named):
    {plant}
    return _load(*arguments, **named)
"""
# In the parent, after all images.
AFTER = """

_aggregate = aggregate


def aggregate(images, *arguments, **named):
    import time
    time.sleep({each} * len({{image.prediction_id for image in images}}) ** 2)
    return _aggregate(images, *arguments, **named)
"""
PIPELINE, LOADING = "inference/pipeline.py", "inference/pixels/loading.py"
SUBMISSION = "inference/submission.py"


def screening(plant: Plant, planted: Mapping[str, str], **more: Any) -> Rehearsal:
    """Rehearse the runner with something appended to its files."""
    house = plant({name: runner()[name] + text for name, text in planted.items()})
    settings = replace(house.settings, hidden_units=more.pop("units", UNITS))
    return replace(house, settings=settings).rehearse(layouts=BOTH, budget=30.0, **more)


def test_a_sound_runner_grows_in_nothing(plant: Plant) -> None:
    seen = checks(screening(plant, {}))
    for name in ("disk", "open files", "threads"):
        assert seen[name].status == "passed", seen[name].message
    # Each worker loads a compiler at its fiftieth image: few images do not tell that from growth.
    assert seen["memory"].status != "failed", seen["memory"].message
    assert "grows with the power" not in seen["time"].message


@pytest.mark.slow
def test_leaks_in_the_parent_are_named(plant: Plant) -> None:
    """1.2 MB of memory, a file that stays open, and 1.2 MB of disk, for each image."""
    body = (
        'HELD.append((b"x" * 1_200_000, open("/dev/null")))\n'
        '        open(f"cache-{number}.npy", "wb").truncate(1_200_000)'
    )
    seen = checks(screening(plant, {PIPELINE: PARENT.format(plant=body)}))
    assert seen["memory"].status == "failed", seen["memory"].message
    assert near(seen["memory"], r"The command's own process grew by (\S+) MB for each image", 1.2)
    assert seen["open files"].status == "failed", seen["open files"].message
    pattern = r"Open files of the command's own process grew by (\S+) for each image"
    assert near(seen["open files"], pattern, 1.0)
    assert seen["disk"].status == "failed", seen["disk"].message
    assert near(seen["disk"], r"/kaggle/working grew by (\S+) MB for each image", 1.2)


@pytest.mark.slow
def test_leaks_in_a_worker_are_named(plant: Plant) -> None:
    """6 MB of memory, and 3 MB of temporary files, for each image.

    Each worker loads a compiler at its fiftieth image: less would look like that in few images.
    """
    body = (
        "import tempfile\n"
        '    HELD.append(b"x" * 6_000_000)\n'
        "    with tempfile.NamedTemporaryFile(delete=False) as file: file.truncate(3_000_000)"
    )
    seen = checks(screening(plant, {LOADING: WORKER.format(plant=body)}))
    assert seen["memory"].status == "failed", seen["memory"].message
    pattern = r"The command's child processes grew by (\S+) MB for each image"
    assert near(seen["memory"], pattern, 6.0)
    assert seen["disk"].status == "failed", seen["disk"].message
    assert near(seen["disk"], r"The temporary folder grew by (\S+) MB for each image", 3.0)


def near(check: Check, pattern: str, expected: float) -> bool:
    """Say whether a message names about the expected number."""
    found = re.search(pattern, check.message)
    assert found, check.message
    return float(found[1]) == pytest.approx(expected, rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["images", "breasts, after the images"])
def test_time_that_grows_with_the_square_is_named(plant: Plant, place: str) -> None:
    """142 h at 32,000 images. Less looks like a compiler that starts late, while few are run."""
    import_time = "import time; time.sleep(1e-3 * number)"
    planted = {
        "images": {PIPELINE: PARENT.format(plant=import_time)},
        "breasts, after the images": {SUBMISSION: AFTER.format(each=2e-3)},
    }[place]
    time = checks(screening(plant, planted))["time"]
    assert time.status == "failed", time.message
    assert "grows with the power" in time.message


# --- a command of the user's own ---


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    return folders.tabular(tmp_path / "data")


def command(house: House, competition: Path, scratch: Path, script: str, **more: Any) -> Rehearsal:
    """Rehearse a script of a competition of tables, whose public test has ten rows."""
    settings = Settings(
        root=scratch,
        target=("host",),
        competition="houses",
        run="python submit.py",
        accelerator="none",
        hidden_units=more.pop("units", UNITS),
        time_limit_hours=more.pop("hours", 9.0),
    )
    own = replace(house, settings=settings)
    write_code_bundle(own.dist / "code", {**runner(), "submit.py": script}, scratch)
    own.write_notebook()
    return own.rehearse(units=None, competition_dir=competition, layouts=BOTH, budget=20.0, **more)


GOOD = "float(row['area']) + len(row['colour'])"


def answer(plant: str) -> str:
    """Return a script that does something for each row, and answers it."""
    return f"import os, time\nHELD = []\ndef answer(row):\n    {plant}\n    return {GOOD}\n{SUBMIT}"


def test_a_sound_command_grows_in_nothing(house: House, competition: Path, tmp_path: Path) -> None:
    rehearsal = command(house, competition, tmp_path, answer("pass"))
    seen = checks(rehearsal)
    for name in ("time", "memory", "disk", "open files", "threads"):
        assert seen[name].status == "passed", seen[name].message
    assert rehearsal.verdict == "passed", rehearsal.summary()
    assert rehearsal.projection is not None
    assert rehearsal.projection.rows == "rows"
    assert "32000 rows take" in seen["time"].message


@pytest.mark.slow
def test_what_a_command_never_frees(house: House, competition: Path, tmp_path: Path) -> None:
    body = (
        'HELD.append((b"x" * 1_200_000, open("/dev/null")))\n'
        '    open(f"cache-{len(HELD)}.npy", "wb").truncate(1_200_000)\n'
        '    open(f"/tmp/cache-{len(HELD)}.npy", "wb").truncate(3_000_000)'
    )
    seen = checks(command(house, competition, tmp_path, answer(body)))
    assert {seen[name].status for name in ("memory", "disk", "open files")} == {"failed"}
    assert near(seen["memory"], r"The command's own process grew by (\S+) MB for each row", 1.2)
    assert near(seen["disk"], r"/kaggle/working grew by (\S+) MB for each row", 1.2)
    assert near(seen["disk"], r"The temporary folder grew by (\S+) MB for each row", 3.0)
    assert near(seen["open files"], r"own process grew by (\S+) for each row", 1.0)


POOL = f"""
import multiprocessing
HELD = []
def held(row):
    HELD.append(b"x" * 1_200_000)
    return {GOOD}
class Answers:
    def __init__(self): self.pool = multiprocessing.get_context("fork").Pool(2)
    def __call__(self, row): return self.pool.apply(held, (row,))
answer = Answers()
{SUBMIT}
answer.pool.close(); answer.pool.join()
"""


@pytest.mark.slow
def test_a_leak_in_a_pool_of_a_command(house: House, competition: Path, tmp_path: Path) -> None:
    memory = checks(command(house, competition, tmp_path, POOL))["memory"]
    assert memory.status == "failed"
    assert near(memory, r"The command's child processes grew by (\S+) MB for each row", 1.2)


@pytest.mark.slow
def test_time_of_a_command_that_grows_with_the_square(
    house: House, competition: Path, tmp_path: Path
) -> None:
    body = "HELD.append(row); time.sleep(1e-4 * len(HELD))"
    time = checks(command(house, competition, tmp_path, answer(body)))["time"]
    assert time.status == "failed", time.message
    assert "grows with the power" in time.message


@pytest.mark.slow
def test_a_first_run_that_warms_a_cache_makes_no_projection_too_low(
    house: House, competition: Path, tmp_path: Path
) -> None:
    """Each row takes 20 ms, 640 s in all; what comes first takes 4 s more than it would again."""
    cold = "time.sleep(4 * os.path.isdir('/kaggle/input/competitions'))\n"
    script = "import os, time\n" + cold + answer("time.sleep(0.02)")
    rehearsal = command(house, competition, tmp_path, script, hours=0.25)
    assert rehearsal.projection is not None
    assert rehearsal.projection.seconds_high > 640
    assert rehearsal.projection.seconds == pytest.approx(640, rel=0.5)
    assert rehearsal.projection.linear
