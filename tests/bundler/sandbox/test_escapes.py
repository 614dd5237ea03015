"""Ways out of a sandbox, each tried for real from inside it, and outside as a control."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bundler.sandbox.conftest import each_backend, need, processes_with

ROOT = Path(__file__).parents[3]
ESCAPES = Path(__file__).with_name("escapes.py")
OUTSIDE = "no sandbox"
# What the kernel of a machine may lack: then there is nothing to escape by.
OPTIONAL = {"make_host_socket", "read_session_key", "add_user_key"}
OPTIONAL |= {"see_control_groups", "trigger_kernel"}
# Starts the tries from a process that has what they look for: a terminal, a key, an open file, and
# a disk that is mounted in the input.
DRIVER = """
import ctypes, os, pty, subprocess, sys
from pathlib import Path
from bundler.sandbox import backends, disk, kernel, pod, system
from bundler.sandbox.sandbox import Sandbox
from tests.bundler.sandbox import escapes
folder, backend, key = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
os.open(os.ttyname(pty.openpty()[1]), os.O_RDWR)  # a session's first one becomes its terminal
libc = ctypes.CDLL(None)
libc.syscall(escapes.KEYCTL, 1, None)
libc.syscall(escapes.ADD_KEY, b"user", key.encode(), b"x", 1, escapes.SESSION)
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
kernel.mount(str(folder / "input"), str(folder / "input"), None, kernel.MS_BIND)
kernel.mount("tmpfs", str(folder / "input" / "inner"), "tmpfs", 0)
os.set_inheritable(os.open(folder / "secret", os.O_RDONLY), True)
command = [sys.executable, "-I", str(escapes.__file__)]
if backend == "no sandbox":
    sys.exit(subprocess.run([*command, folder / "outside.json"], close_fds=False).returncode)
paths = {"/input": folder / "input", "/own": folder / "own"}
python = system.python_folders([Path(sys.executable)])
sandbox = Sandbox(
    read_only={**python, **paths, str(Path(escapes.__file__)): Path(escapes.__file__)},
    writable={"/out": folder / "out"},
    limited={"/limited": disk.make(folder / "limited", 1 << 20)},
)
process = backends.start([*command, "/own/inside.json"], sandbox, backend=backend,
    env={"PATH": os.defpath}, log=folder / "log", scratch=folder / "scratch")
sys.exit(process.wait())
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What of this machine is tried, in a folder of its own."""

    folder: Path
    nap: str

    def escape(self, backend: str) -> dict[str, dict[str, str]]:
        """Try everything in a sandbox, or outside any, and return what came of it."""
        command = [sys.executable, "-c", DRIVER, self.folder, backend, f"key{self.nap}"]
        tried = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, start_new_session=True, check=False
        )
        log = self.folder / "log"
        output = tried.stderr + (log.read_text() if log.exists() else "")
        assert tried.returncode == 0, output
        result: dict[str, dict[str, str]] = json.loads(
            (self.folder / "out" / "escapes.json").read_text()
        )
        return result


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A secret, a process, and two sockets of this machine, described for the tries."""
    if os.geteuid() != 0:
        pytest.skip("only root can try everything outside a sandbox, too")
    for name in ("input/inner", "own", "out", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    nap = f"{600 + os.getpid() / 1e7:.7f}"  # seconds; also a mark to find the process by
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process,
    ):
        abstract.bind(f"\0rsna-bundle-{nap}")
        abstract.listen()
        targets = {
            "pid": process.pid,
            "port": server.getsockname()[1],
            "abstract": f"rsna-bundle-{nap}",
            "key": f"key{nap}",
            "nap": nap,
            "secret": str(tmp_path / "secret"),
            "outside": str(tmp_path),
        }
        outside = {"input": str(tmp_path / "input"), "out": str(tmp_path / "out")}
        inside = {"input": "/input", "out": "/out"}
        (tmp_path / "outside.json").write_text(json.dumps(targets | outside))
        (tmp_path / "own" / "inside.json").write_text(json.dumps(targets | inside))
        yield Machine(folder=tmp_path, nap=nap)
        process.kill()


def test_each_try_succeeds_where_there_is_no_sandbox(machine: Machine) -> None:
    tried = machine.escape(OUTSIDE)
    (kept,) = processes_with(machine.nap)
    os.kill(kept, 9)
    failed = {name: why for name, why in tried["results"].items() if why != "done"}
    assert set(failed) <= OPTIONAL, failed


@each_backend
def test_none_succeeds_in_a_sandbox(backend: str, machine: Machine) -> None:
    need(backend)
    tried = machine.escape(backend)
    succeeded = {name for name, result in tried["results"].items() if result == "done"}
    assert succeeded - {"keep_process"} == set()  # it is started, and ends with the sandbox
    assert processes_with(machine.nap) == []
    assert {name: value.strip("0") for name, value in tried["rights"].items()} == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), ""),
        "NoNewPrivs": "1",
    }
    assert not (machine.folder / "written").exists()
    assert not list((machine.folder / "input").rglob("written"))
