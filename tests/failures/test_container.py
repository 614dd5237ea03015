"""A rehearsal in a container of podman, whose image is made of what this machine has."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundler.errors import UsageError
from bundler.sandbox import backends
from tests.failures import root_file_system
from tests.failures.conftest import ROOT, Plant, failed, own_runner, processes_of

# podman as it runs without the right to raise limits, and without systemd.
CONF = """
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
runtime = "{runtime}"
"""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
SEEN = """
def tried(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "done"
import socket
limit = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
if not limit.exists():
    limit = Path("/sys/fs/cgroup/memory.max")
print("seen:", tried("/new"), tried("/kaggle/input/new"), tried(Path.home() / ".settings"),
    [name for _, name in socket.if_nameindex()], os.path.exists("MACHINE"), sys.prefix, sep="|")
print("limit:", limit.read_text().strip() if limit.exists() else "not shown")
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a root file system, for podman to run."""
    root = tmp_path_factory.mktemp("image") / "root"
    root.mkdir()
    root_file_system.write(root)
    return root


@pytest.fixture(autouse=True)
def podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let podman keep what it has in the test's own folder; skip where it does not run."""
    runtime = "runc" if shutil.which("runc") else "crun"
    (tmp_path / "containers.conf").write_text(CONF.format(runtime=runtime))
    (tmp_path / "storage.conf").write_text(STORAGE.format(folder=tmp_path / "podman"))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    if reason := backends.ENGINES["podman"].why_not():
        pytest.skip(f"no container engine runs here: {reason}")


@pytest.mark.slow
def test_the_notebook_runs_in_a_container_of_the_image(plant: Plant, image: Path) -> None:
    house = plant(own_runner(SEEN.replace("MACHINE", str(Path(__file__)))))
    rehearsal = house.rehearse(
        backend="podman", image=str(image), python=None, memory_bytes=700_000_000
    )
    assert rehearsal.provenance.sandbox == "podman"
    assert "is not named by its digest" in " ".join(rehearsal.provenance.notes)
    (ran,) = [check for check in rehearsal.checks if check.name == "notebook ran"]
    assert ran.status == "passed", ran.message
    assert (
        "seen:|Read-only file system|Read-only file system|done|['lo']|False|/opt/python"
        in rehearsal.log
    )
    limit = rehearsal.log.partition("limit: ")[2].split()[0]
    assert limit == "not" or int(limit) <= 700_000_000
    assert _containers() == ""


@pytest.mark.slow
def test_more_memory_than_the_limit_is_the_engines_to_end(plant: Plant, image: Path) -> None:
    hungry = "held = []\nfor _ in range(100): held.append(bytearray(b'x' * 10_000_000))"
    house = plant(own_runner(hungry))
    messages = failed(
        house.rehearse(backend="podman", image=str(image), python=None, memory_bytes=400_000_000)
    )
    assert "memory" in messages["notebook ran"]


@pytest.mark.slow
def test_a_killed_rehearsal_leaves_no_container(plant: Plant, image: Path) -> None:
    house = plant(own_runner("print('up', flush=True)\nimport time; time.sleep(600)"))
    code = (
        "import sys; from pathlib import Path\n"
        "from bundler.rehearse.options import RehearseOptions\n"
        "from bundler.rehearse.rehearsal import run\n"
        "from bundler.settings import Settings\n"
        "dist = Path(sys.argv[1])\n"
        "run(RehearseOptions(settings=Settings(root=dist, target=('host',)), dist=dist,\n"
        "    out=dist / 'rehearsal', units=1, layouts=('new',), backend='podman',\n"
        "    image=sys.argv[2], phantom_size=(320, 256)))\n"
    )
    command = [sys.executable, "-c", code, str(house.dist), str(image)]
    process = subprocess.Popen(command, cwd=ROOT)
    end = time.monotonic() + 120
    while not _containers() and time.monotonic() < end:
        assert process.poll() is None, "it ended before it was interrupted"
        time.sleep(0.1)
    process.kill()
    process.wait()
    end = time.monotonic() + 60
    while (_containers() or processes_of(house.dist)) and time.monotonic() < end:
        time.sleep(0.1)
    assert _containers() == ""
    assert processes_of(house.dist) == []


def test_says_what_to_add_where_the_target_names_no_image(plant: Plant) -> None:
    with pytest.raises(UsageError, match=r"names no image\. Add --image"):
        plant(own_runner("")).rehearse(backend="podman", python=None)


def _containers() -> str:
    listed = subprocess.run(
        ["podman", "ps", "--all", "--quiet", "--filter", "label=rsna-bundle"],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.strip()
