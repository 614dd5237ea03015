"""A pod: sandboxes that share a loopback and a folder, one of which may mount."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.sandbox import backends, disk, pod, system
from bundler.sandbox.pod import Pod, PodError
from bundler.sandbox.sandbox import Sandbox
from tests.bundler.sandbox.conftest import need, processes_with

# The one that mounts: as `mount --bind` in the gateway's `share_files`.
GATEWAY = """
import json, os, socket, subprocess
def bind(source, target, *more):
    tried = subprocess.run(["mount", *more, source, target], capture_output=True, text=True)
    return tried.stderr.strip() or "done"
def written(path):
    try:
        with open(path, "a"):
            return "done"
    except OSError as error:
        return error.strerror
os.mkdir("/kaggle/shared/files")
seen = {"bind": bind("/input", "/kaggle/shared/files", "--bind")}
os.mkdir("/out/proc")
seen["proc"] = bind("proc", "/out/proc", "-t", "proc")
seen["proc read-only"] = bind("proc", "/out/proc", "-t", "proc", "-o", "ro")
seen["sysctl"] = written("/out/proc/sys/vm/swappiness"), written("/proc/sys/vm/swappiness")
seen["remount"] = bind("none", "/usr", "-o", "remount,bind,rw"), written("/usr/bin/true")
seen["input"] = bind("none", "/input", "-o", "remount,bind,rw"), written("/input/file")
seen["secret"] = written(SECRET)
with socket.create_connection(("inference_server", 50051)) as client:
    client.sendall(b"look")
    seen["answer"] = client.makefile().read()
print(json.dumps(seen))
"""
SERVER = """
import os, socket, subprocess
with socket.create_server(("0.0.0.0", 50051)) as server:
    print("listening", flush=True)
    connection = server.accept()[0]
    connection.recv(4)
    tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/kaggle/shared"],
        capture_output=True)
    seen = open("/kaggle/shared/files/file").read(), str(tried.returncode), str(os.getuid())
    connection.sendall("|".join(seen).encode())
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Pod]:
    """A pod that may write below a folder `work`."""
    need("namespaces")
    (tmp_path / "work").mkdir()
    with pod.start(tmp_path / "work") as made:
        yield made


def start(
    pod: Pod, folder: Path, name: str, code: str, **more: object
) -> "subprocess.Popen[bytes]":
    """Start code in a sandbox of a pod."""
    for each in ("out", "scratch"):
        (folder / name / each).mkdir(parents=True)
    (folder.parent / "input").mkdir(exist_ok=True)
    (folder.parent / "input" / "file").write_text("hidden")
    sandbox = Sandbox(
        read_only={
            **system.python_folders([Path(sys.executable)]),
            "/input": folder.parent / "input",
        },
        writable={"/out": folder / name / "out"},
        hosts=("inference_server",),
        pod=pod,
        **more,  # type: ignore[arg-type]
    )
    return backends.start(
        [sys.executable, "-I", "-c", code],
        sandbox,
        backend="namespaces",
        env={"PATH": os.defpath},
        log=folder / f"{name}.log",
        scratch=folder / name / "scratch",
    )


def test_what_one_mounts_shows_in_the_other(made: Pod, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    server = start(made, tmp_path / "work", "server", SERVER)
    while "listening" not in (tmp_path / "work" / "server.log").read_text():
        assert server.poll() is None, (tmp_path / "work" / "server.log").read_text()
    code = GATEWAY.replace("SECRET", repr(str(tmp_path / "secret")))
    gateway = start(made, tmp_path / "work", "gateway", code, may_mount=True)
    output = tmp_path / "work" / "gateway.log"
    assert gateway.wait(60) == 0, output.read_text()
    assert server.wait(60) == 0, (tmp_path / "work" / "server.log").read_text()
    seen = json.loads(output.read_text())
    assert seen["bind"] == "done"
    assert seen["answer"].split("|")[0] == "hidden"
    assert seen["answer"].split("|")[1] != "0"  # the server may not mount
    # Nothing of this machine becomes writable by the right to mount.
    assert "permission denied" in seen["proc"]
    assert seen["proc read-only"] == "done"
    assert set(seen["sysctl"]) == {"Read-only file system"}
    assert "permission denied" in seen["remount"][0]
    assert "permission denied" in seen["input"][0]
    assert seen["remount"][1] == seen["input"][1] == "Read-only file system"
    assert seen["secret"] == "No such file or directory"
    # What was mounted is the pod's alone.
    assert list(made.shared.iterdir()) == []


FULL = """
try:
    with open("/limited/file", "wb") as stream:
        stream.write(bytes(2 << 20))
    print("written")
except OSError as error:
    print(error.strerror)
"""


def test_a_folder_of_a_size_keeps_it_in_a_pod(tmp_path: Path) -> None:
    """The file system is the pod's: a sandbox that joins it has left its own mounts behind."""
    need("namespaces")
    if reason := disk.why_watched():
        pytest.skip(f"no file system can be mounted here: {reason}")
    folder = tmp_path / "work"
    folder.mkdir()
    limited = disk.make(folder / "limited", 1 << 20)
    with pod.start(folder, sized=[limited]) as made:
        process = start(made, folder, "writer", FULL, limited={"/limited": limited})
        assert process.wait(60) == 0, (folder / "writer.log").read_text()
    assert (folder / "writer.log").read_text() == "No space left on device\n"


def test_its_sandboxes_end_with_it(tmp_path: Path) -> None:
    need("namespaces")
    mark = f"{700 + os.getpid() / 1e7:.7f}"
    (tmp_path / "work").mkdir()
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(pod.start(tmp_path / "work"))
        code = f"import time; print('up', flush=True); time.sleep({mark})"
        process = start(made, tmp_path / "work", "one", code)
        while "up" not in (tmp_path / "work" / "one.log").read_text():
            assert process.poll() is None
        stack.callback(backends.end, process)
    assert processes_with(mark) == []
    assert processes_with(str(tmp_path)) == []


def test_says_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod, "INIT", tmp_path / "nothing.py")
    with pytest.raises(PodError, match=r"cannot be made here: .*nothing\.py"), pod.start(tmp_path):
        pass
