"""Looking at a run: which process is which, what it holds open, and who else is at work."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from bundler.rehearse.run import sampling
from bundler.rehearse.run.sampling import Process, Recorder, Role

COMMAND = """
import subprocess, sys, time
held = bytearray(b"x" * 60_000_000)
worker = "import time; files = [open('/dev/null') for _ in range(50)]; time.sleep(60)"
subprocess.run([sys.executable, "-I", "-c", worker])
"""
LAUNCHER = """
import subprocess, sys
pip = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"])
subprocess.Popen([sys.executable, "-I", "-c", sys.argv[1]], start_new_session=True).wait()
"""
KERNEL = """
import subprocess, sys
subprocess.run([sys.executable, "-I", "-c", sys.argv[2], sys.argv[1], "inference.launch"])
"""


def until(seen: Callable[[list[Process]], bool]) -> list[Process]:
    """Look at this process's children until they are as they should be."""
    end = time.monotonic() + 60
    while not seen(processes := sampling.look(os.getpid())):
        assert time.monotonic() < end, processes
        time.sleep(0.05)
    return processes


def of(processes: list[Process], role: Role) -> list[Process]:
    return [one for one in processes if one.role == role]


def test_each_process_has_its_role() -> None:
    line = [sys.executable, "-I", "-c", KERNEL, COMMAND, LAUNCHER, "ipykernel_launcher"]
    with subprocess.Popen(line, start_new_session=True) as kernel:
        try:
            processes = until(lambda seen: any(one.files > 50 for one in of(seen, "worker")))
        finally:
            for one in sampling.look(os.getpid()):
                os.kill(one.pid, 9)
        assert [one.pid for one in of(processes, "kernel")] == [kernel.pid]
    (command,), (worker,) = of(processes, "command"), of(processes, "worker")
    assert len(of(processes, "launcher")) == 2  # with what stands for pip
    assert command.rss_bytes > 60_000_000 > worker.rss_bytes
    assert worker.parent == command.pid
    assert worker.threads == 1


def test_a_recorder_keeps_peaks_and_few_samples() -> None:
    recorder = Recorder(root=os.getpid(), cpus=[0])
    for number in range(3 * sampling.MOST_SAMPLES):
        size = 500 if number == 1 else 100
        recorder.note(
            [
                Process(pid=1, parent=0, role="command", rss_bytes=size, threads=2, files=3),
                Process(pid=2, parent=1, role="worker", rss_bytes=30, threads=1, files=9),
                Process(pid=3, parent=1, role="worker", rss_bytes=40, threads=1, files=5),
            ],
            memory=size + 70,
        )
    assert recorder.peaks["command"].rss_bytes == 500  # though its sample may be dropped
    assert recorder.peaks["worker"].rss_bytes == 70
    assert recorder.peaks["worker"].files == 9
    assert recorder.peak_bytes == 570
    assert sampling.MOST_SAMPLES / 2 <= len(recorder.samples) <= sampling.MOST_SAMPLES
    assert recorder.samples[-1].rss_bytes == 170


def test_others_are_those_that_are_not_of_the_run() -> None:
    """A program beside the run counts as another; as the run's own, it does not."""
    cpus = sorted(os.sched_getaffinity(0))[:1]
    spin = "import os; os.sched_setaffinity(0, [int(os.sys.argv[1])])\nwhile True: pass"
    foreign, own = Recorder(root=1, cpus=cpus), Recorder(root=os.getpid(), cpus=cpus)
    with subprocess.Popen([sys.executable, "-I", "-c", spin, str(cpus[0])]) as spinning:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            processes = [one for one in sampling.look(os.getpid()) if one.pid == spinning.pid]
            own.note(processes, 0)
            foreign.note([], 0)
            time.sleep(0.1)
        spinning.kill()
    assert own.cpu_seconds > 0.3
    assert foreign.others - own.others > 0.15
