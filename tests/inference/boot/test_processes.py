"""Whose processes are ended: those of a launch that was killed, and nobody else's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.boot import processes

pytestmark = pytest.mark.skipif(not processes.PROC.is_dir(), reason="needs /proc")
SCRATCH = Path("/scratch")
SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[bytes]"]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate()


def test_ends_what_a_killed_launch_left(started: list["subprocess.Popen[bytes]"]) -> None:
    number, began, namespace = processes.mark(SCRATCH).split(":", 2)
    gone = f"{number}:{int(began) - 1}:{namespace}"  # another process of our number
    for mark in (gone, processes.mark(SCRATCH)):
        environment = os.environ | {processes.MARK: mark}
        process = subprocess.Popen(SLEEP, env=environment, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
    orphan, child = started
    assert processes.end_orphans(Path("/other")) == []  # another notebook's on this machine
    assert processes.end_orphans(SCRATCH) == [orphan.pid]
    assert orphan.wait(10) == -signal.SIGTERM
    assert child.poll() is None


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare (util-linux)")
def test_leaves_alone_what_runs_in_another_namespace(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    """A rehearsal's launch is in its sandbox, where its number is another than here."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    code = (
        "import os, sys, subprocess; from inference.boot import processes\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " env=os.environ | {processes.MARK: processes.mark('/scratch')})\n"
        "print(processes.mark('/scratch'), flush=True); sys.exit(child.wait())"
    )
    command = ["unshare", *user, "--pid", "--fork", "--kill-child", "--mount-proc"]
    sandbox = subprocess.Popen([*command, sys.executable, "-c", code], stdout=subprocess.PIPE)
    started.append(sandbox)
    assert sandbox.stdout is not None
    inner = sandbox.stdout.readline().decode().strip()
    if not inner:
        pytest.skip("PID namespaces are not allowed here")
    assert inner.split(":")[3] != processes.mark(SCRATCH).split(":")[3]
    assert any(mark == inner for _, mark in processes._marked())  # it is seen from here
    assert processes.end_orphans(SCRATCH) == []
    time.sleep(0.2)
    assert sandbox.poll() is None
