"""Worker processes: a file that hangs or kills a worker costs one image, not the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded, load
from inference.pixels.proven import WORTH_AFTER
from inference.workers import Result, Task, Workers, load_all, state_of
from tests.inference.conftest import CONFIG
from train.phantom import JPEG_LOSSLESS_SV1, draw, write_dicom


def tasks_of(*paths: Path) -> list[Task]:
    """Return one task a file."""
    return [Task(key=key, path=path, configs=(CONFIG,)) for key, path in enumerate(paths)]


def test_loads_what_the_parent_would_load(make_image: Callable[..., Path], tmp_path: Path) -> None:
    paths = [make_image(str(number), number / 8) for number in range(9)]
    with Workers(2) as workers:
        results = {r.key: r.loaded for r in load_all(workers, tasks_of(*paths, tmp_path / "no"))}
        assert workers.peak_rss > 1 << 20
    for key, path in enumerate(paths):
        loaded = results[key]
        assert isinstance(loaded, Loaded)
        assert np.array_equal(loaded.inputs[0], load(path, [CONFIG]).inputs[0])
    missing = results[9]
    assert isinstance(missing, ImageError)
    assert missing.kind == "missing"


def test_gives_up_an_image_that_hangs_and_goes_on(make_image: Callable[..., Path]) -> None:
    tasks = tasks_of(*(make_image(str(number)) for number in range(8)))
    with Workers(2, seconds_per_image=5) as workers:
        workers.give(tasks[0])
        assert [result.key for result in collect(workers)] == [0]
        stopped = workers.pids[0]
        os.kill(stopped, signal.SIGSTOP)  # whatever it is given next, it will not finish
        results = {result.key: result.loaded for result in load_all(workers, tasks[1:])}
        assert stopped not in workers.pids
    failed = [loaded for loaded in results.values() if isinstance(loaded, ImageError)]
    assert [error.kind for error in failed] == ["timeout"]
    assert sorted(results) == [1, 2, 3, 4, 5, 6, 7]


def test_a_crash_costs_the_image_at_hand_alone(make_image: Callable[..., Path]) -> None:
    tasks = tasks_of(*(make_image(str(number)) for number in range(5)))
    with Workers(1) as workers:
        workers.give(tasks[0])
        assert [result.key for result in collect(workers)] == [0]
        (victim,) = workers.pids
        os.kill(victim, signal.SIGSTOP)
        workers.give(tasks[1])
        workers.give(tasks[2])
        os.kill(victim, signal.SIGSEGV)
        os.kill(victim, signal.SIGCONT)
        results = {result.key: result.loaded for result in load_all(workers, tasks[3:])}
        assert workers.pids != [victim]
    crashed = results.pop(1)
    assert isinstance(crashed, ImageError)
    assert crashed.kind == "crashed"
    assert "SIGSEGV" in str(crashed)
    assert sorted(results) == [2, 3, 4]
    assert all(isinstance(loaded, Loaded) for loaded in results.values())


def collect(workers: Workers) -> list[Result]:
    """Wait for the next results."""
    results: list[Result] = []
    while not results:
        results = workers.collect()
    return results


def test_a_worker_killed_in_the_middle_of_a_result_costs_the_image_alone(
    make_image: Callable[..., Path],
) -> None:
    # The pipe holds some 200 KB: a larger result is half in it when its worker is killed.
    large = replace(CONFIG, size=(1024, 1024))
    path = make_image("large")
    with Workers(1) as workers:
        workers.give(Task(key=0, path=path, configs=(large,)))
        (victim,) = workers.pids
        ours = workers._workers[0].connection
        assert ours.poll(60)
        time.sleep(0.5)  # it writes on until the pipe is full
        os.kill(victim, signal.SIGKILL)
        (result,) = collect(workers)
        assert isinstance(result.loaded, ImageError)
        assert result.loaded.kind == "crashed"
        again = workers.load_alone(Task(key=0, path=path, configs=(large,)))
    assert isinstance(again.loaded, Loaded)
    assert np.array_equal(again.loaded.inputs[0], load(path, [large]).inputs[0])


def test_a_second_try_has_a_process_of_its_own_and_no_unproven_decoder(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    write_dicom(path, draw(1, (320, 256)), transfer_syntax=JPEG_LOSSLESS_SV1)
    tasks = [Task(key=key, path=path, configs=(CONFIG,)) for key in range(WORTH_AFTER + 3)]
    with Workers(1) as workers:
        usual = [result.loaded for result in load_all(workers, tasks)]
        before = workers.pids
        result = workers.load_alone(tasks[0])
        assert workers.pids != before
        assert not is_running(before[0])
    assert isinstance(result.loaded, Loaded)
    assert isinstance(usual[-1], Loaded)
    assert "numba" in usual[-1].decoder  # what a process does once it has proven itself
    assert "numba" not in result.loaded.decoder
    assert np.array_equal(result.loaded.inputs[0], usual[-1].inputs[0])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone kills by score")
def test_where_memory_runs_out_a_worker_goes_first(make_image: Callable[..., Path]) -> None:
    with Workers(1) as workers:
        workers.give(tasks_of(make_image("image"))[0])
        collect(workers)
        score = Path(f"/proc/{workers.pids[0]}/oom_score_adj").read_text()
    assert int(score) == 1000 > int(Path("/proc/self/oom_score_adj").read_text())


def test_knows_the_state_of_the_file_that_was_loaded(make_image: Callable[..., Path]) -> None:
    path = make_image("image")
    with Workers(1) as workers:
        workers.give(tasks_of(path)[0])
        (result,) = collect(workers)
    assert result.file == state_of(path) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert state_of(path.with_name("missing")) is None


def test_leaves_no_process_behind() -> None:
    with Workers(2) as workers:
        pids = workers.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from inference.workers import Workers\n"
        "import time\n"
        "if __name__ == '__main__':\n"
        "    workers = Workers(2)\n"
        "    print(*workers.pids, flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
