"""A sandbox: an empty root, folders read-only, writable and limited, whichever way it is made."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundler.sandbox import backends, disk, system
from bundler.sandbox.sandbox import Sandbox

SEEN = """
import json, os, socket
def tried(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "done"
def fill():
    with open("/limited/file", "wb") as stream:
        for _ in range(40):
            stream.write(bytes(100_000))
print(json.dumps({
    "root": sorted(os.listdir("/")),
    "input": tried(lambda: open("/input/new", "w")),
    "elsewhere": tried(lambda: open("/new", "w")),
    "out": tried(lambda: open("/out/new", "w")),
    "limited": tried(fill),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "laptop": os.path.exists(HERE),
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
}))
"""

each_backend = pytest.mark.parametrize("backend", ["bubblewrap", "namespaces"])


def need(backend: str) -> None:
    """Skip where a backend does not work, but never in CI."""
    reason = backends.reasons()[backend]
    if reason and "CI" not in os.environ:
        pytest.skip(reason)


@each_backend
def test_shows_what_was_given_and_nothing_else(backend: str, tmp_path: Path) -> None:
    need(backend)
    for name in ("input", "out", "scratch"):
        (tmp_path / name).mkdir()
    sandbox = Sandbox(
        read_only={
            **system.python_folders([Path(sys.executable)]),
            "/input": tmp_path / "input",
            "/limited/inside": tmp_path / "input",
        },
        writable={"/out": tmp_path / "out"},
        limited={"/limited": disk.make(tmp_path / "limited", 1 << 20)},
    )
    code = SEEN.replace("HERE", repr(str(tmp_path)))
    process = backends.start(
        [sys.executable, "-I", "-c", code],
        sandbox,
        backend=backend,
        env={"PATH": os.defpath},
        log=tmp_path / "log",
        scratch=tmp_path / "scratch",
    )
    assert process.wait() == 0, (tmp_path / "log").read_text()
    seen = json.loads((tmp_path / "log").read_text())
    assert seen["input"] == seen["elsewhere"] == "Read-only file system"
    assert seen["out"] == "done"
    assert seen["limited"] == "No space left on device"
    assert seen["interfaces"] == ["lo"]
    assert not seen["laptop"]
    assert seen["processes"] <= 3
    # Python's own folders may lie below one of them.
    above = {Path(path).parts[1] for path in sandbox.read_only}
    assert not ({"home", "tmp", "mnt", "srv", "var"} - above) & set(seen["root"])
    assert (tmp_path / "out" / "new").exists()
    assert list((tmp_path / "input").iterdir()) == []


@each_backend
def test_ends_with_the_process_that_started_it(backend: str, tmp_path: Path) -> None:
    need(backend)
    (tmp_path / "scratch").mkdir()
    mark = f"3{os.getpid()}"
    code = (
        "import os, sys; from pathlib import Path; from bundler.sandbox import backends\n"
        "from bundler.sandbox.sandbox import Sandbox\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"backends.start(['/bin/sleep', {mark!r}], Sandbox(), backend={backend!r},\n"
        "    env={'PATH': os.defpath}, log=folder / 'log', scratch=folder / 'scratch')\n"
        "import time\n"
        "from bundler.rehearse.run.watchdog import descendants\n"
        "end = time.monotonic() + 60\n"
        "def started():\n"
        "    texts = [Path(f'/proc/{pid}/cmdline') for pid in descendants(os.getpid())]\n"
        f"    return any(b'{mark}' in text.read_bytes().split(b'\\0')[1:2] for text in texts\n"
        "        if text.exists())\n"
        "while not started() and time.monotonic() < end: time.sleep(0.05)\n"
        "print('started', started(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "started True" in result.stdout, result.stderr
    end = time.monotonic() + 30
    while _named(mark) and time.monotonic() < end:
        time.sleep(0.05)
    assert _named(mark) == []


def _named(mark: str) -> list[int]:
    """Return the processes one of whose words is the mark."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
        except OSError:
            continue
    return pids
