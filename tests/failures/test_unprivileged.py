"""The sandbox without root: what a user of the machine may do, tried as one who is nobody."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.failures.conftest import ROOT, House

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
# Root's own Python may lie where none but root may look: then it alone is shown, at its path.
SHOW = """
mkdir "$1/keep" && mount --bind "$3" "$1/keep" && mount -t tmpfs -o mode=755 tmpfs "$2" &&
mkdir -p "$3" && mount --bind "$1/keep" "$3" && shift 3 && exec "$@"
"""
OFFLINE = """
import os, sys
from bundler.sandbox import offline
code = "import os, socket; print(os.getuid(), [name for _, name in socket.if_nameindex()])"
print(os.getuid(), offline.run([sys.executable, "-c", code]).stdout.strip())
"""
SEEN = """
import os, socket
def tried(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "done"
print(os.getuid(), [name for _, name in socket.if_nameindex()])
print(tried(lambda: open("/input/new", "w")), tried(lambda: open("/out/new", "w")), sep="|")
print(tried(lambda: open("/limited/new", "wb").write(bytes(2 << 20))))
"""
SANDBOX = """
import os, sys
from pathlib import Path
from bundler.sandbox import backends, disk, system
from bundler.sandbox.sandbox import Sandbox
place, backend, code = Path(sys.argv[1]), *sys.argv[2:]
for name in ("input", "out", "scratch"):
    (place / name).mkdir()
sandbox = Sandbox(
    read_only={**system.python_folders([Path(sys.executable)]), "/input": place / "input"},
    writable={"/out": place / "out"},
    limited={"/limited": disk.make(place / "limited", 1 << 20)},
)
words, env = [sys.executable, "-I", "-c", code], {"PATH": os.defpath}
process = backends.start(
    words, sandbox, backend=backend, env=env, log=place / "log", scratch=place / "scratch"
)
ended = process.wait()
print((place / "log").read_text(), end="")
sys.exit(ended)
"""
REHEARSAL = """
import os, sys
from pathlib import Path
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.rehearsal import run
from bundler.settings import Settings
place = Path(sys.argv[1])
rehearsal = run(RehearseOptions(
    settings=Settings(root=place, target=("host",)), dist=place, out=place / "rehearsal",
    units=0, layouts=("new",), python=Path(sys.executable), measure_seconds=0.2))
print(rehearsal.summary())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that belongs to nobody."""
    if os.geteuid() != 0:
        pytest.skip("these tests run without root, so all others show this")
    if not shutil.which("setpriv"):
        pytest.skip("the program setpriv is missing")
    folder = Path(tempfile.mkdtemp(prefix="rsna-bundle-nobody-"))
    os.chown(folder, NOBODY, NOBODY)
    try:
        tried = start_as_nobody("import bundler, nbclient", home=folder)
        if tried.returncode:
            pytest.skip(f"cannot become another user here: {tried.stderr.strip()}")
        yield folder
    finally:
        shutil.rmtree(folder)


def start_as_nobody(
    code: str, *words: str | Path, home: Path
) -> "subprocess.CompletedProcess[str]":
    """Run Python code as nobody."""
    prefix = Path(sys.base_prefix)
    closed = [p for p in prefix.parents if not p.stat().st_mode & stat.S_IXOTH]
    hidden = Path(tempfile.mkdtemp(prefix="rsna-bundle-python-"))
    show: list[str | Path] = ["unshare", "--mount", "sh", "-c", SHOW, "sh", hidden]
    show = [*show, closed[-1], prefix] if closed else []
    own = {"HOME": str(home), "TMPDIR": str(home), "RSNA_BUNDLE_CACHE": str(home / "cache")}
    try:
        return subprocess.run(
            [*show, *AS_NOBODY, sys.executable, "-c", code, *words],
            cwd=ROOT,
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(hidden)


def run_as_nobody(code: str, *words: str | Path, home: Path) -> str:
    """Run Python code as nobody and return what it prints; it must succeed."""
    result = start_as_nobody(code, *words, home=home)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_running_offline_needs_no_root(place: Path) -> None:
    assert run_as_nobody(OFFLINE, home=place) == f"{NOBODY} 0 ['lo']\n"


@pytest.mark.parametrize("backend", ["bubblewrap", "namespaces"])
def test_a_sandbox_needs_no_root(place: Path, backend: str) -> None:
    if backend == "bubblewrap" and not shutil.which("bwrap"):
        pytest.skip("the program bwrap is missing")
    output = run_as_nobody(SANDBOX, place, backend, SEEN, home=place).splitlines()
    # Without root no file system can be mounted: the folder's size is watched, not limited.
    assert output == ["0 ['lo']", "Read-only file system|done", "done"]
    assert (place / "out" / "new").stat().st_uid == NOBODY


def test_a_whole_rehearsal_needs_no_root(sound: House, place: Path) -> None:
    shutil.copytree(sound.dist, place / "dist")
    for folder, _, names in os.walk(place):
        for name in ("", *names):
            os.chown(Path(folder, name), NOBODY, NOBODY)
    output = run_as_nobody(REHEARSAL, place / "dist", home=place)
    assert output.startswith("The rehearsal passed"), output
