"""The submission's files on disks that are full, small or not to be written to: real ones."""

import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from inference.errors import RunError
from inference.output import Output
from tests.inference.mounts import Mount, Mounted

REPORT = json.dumps({"state": "complete"}).encode()


def seeded(csv: bytes, state: str = "fallbacks only") -> bytes:
    """Return a report about a submission."""
    return json.dumps({"state": state, "csv_sha256": hashlib.sha256(csv).hexdigest()}).encode()


def listed(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


# --- one run's files ---


def test_replaces_the_seed_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "submission.csv"
    with Output(path) as files:
        files.reserve(1000, 1000)
        files.seed(b"seed", seeded(b"seed"))
        assert path.read_bytes() == b"seed"
        files.write(b"whole", REPORT)
    assert path.read_bytes() == b"whole"
    assert listed(path.parent) == {"submission.csv", "submission.json"}


@pytest.mark.parametrize("size", [0, 3, 5000])
def test_a_reservation_that_is_too_small_is_no_harm(tmp_path: Path, size: int) -> None:
    with Output(tmp_path / "submission.csv") as files:
        files.reserve(size, 1)
        files.write(b"x" * 4000, REPORT)
    assert (tmp_path / "submission.csv").read_bytes() == b"x" * 4000
    assert (tmp_path / "submission.json").read_bytes() == REPORT


def test_space_is_held_and_given_back(tmp_path: Path) -> None:
    with Output(tmp_path / "submission.csv") as files:
        files.reserve(1 << 20, 1 << 16)
        held = (tmp_path / "submission.csv.partial").stat()
        assert held.st_blocks * 512 >= 1 << 20  # on the disk, and not only in its length
    assert listed(tmp_path) == set()


def test_what_was_there_is_moved_away(tmp_path: Path) -> None:
    csv, report = tmp_path / "submission.csv", tmp_path / "submission.json"
    for content in (b"one", b"two"):
        csv.write_bytes(content)
        report.write_bytes(REPORT)
        with Output(csv):
            assert not csv.exists()
            assert not report.exists()
    assert (tmp_path / "submission.csv.old").read_bytes() == b"two"
    assert listed(tmp_path) == {"submission.csv.old", "submission.json.old"}


@pytest.mark.parametrize(
    ("report", "kept"),
    [
        (seeded(b"csv"), False),
        (seeded(b"csv", "partial"), True),
        (seeded(b"csv", "complete"), True),
        (seeded(b"another"), True),
        (b"{", True),
        (b"[]", True),
        (b'{"state": "fallbacks only"}', True),
        (None, True),
    ],
)
def test_only_fallbacks_of_ours_are_not_kept(
    tmp_path: Path, report: bytes | None, kept: bool
) -> None:
    (tmp_path / "submission.csv").write_bytes(b"csv")
    if report is not None:
        (tmp_path / "submission.json").write_bytes(report)
    with Output(tmp_path / "submission.csv"):
        pass
    assert (tmp_path / "submission.csv.old").exists() is kept
    assert not (tmp_path / "submission.csv").exists()


def _hold(path: Path, ready: Event, end: Event) -> None:
    with Output(path):
        ready.set()
        end.wait(60)


def test_only_one_run_has_an_output(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    path = tmp_path / "submission.csv"
    process = context.Process(target=_hold, args=(path, ready, end))
    process.start()
    assert ready.wait(60)
    path.write_bytes(b"of the first")
    with pytest.raises(RunError, match="Another run is writing"), Output(path):
        pass
    assert path.read_bytes() == b"of the first"
    with Output(tmp_path / "other.csv"):
        pass
    process.kill()  # whose lock ends with it
    process.join()
    with Output(path) as files:
        files.write(b"of the second", REPORT)


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "submission.csv").mkdir()
    with pytest.raises(RunError, match="Is a directory"), Output(tmp_path / "submission.csv"):
        pass


def test_a_report_that_cannot_be_written_costs_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "submission.csv"
    with Output(path) as files:
        files.seed(b"seed", seeded(b"seed"))
        (tmp_path / "submission.json").unlink()
        (tmp_path / "submission.json").mkdir()
        (tmp_path / "submission.json" / "x").touch()
        os.rename(tmp_path / "submission.json", tmp_path / "aside")
        (tmp_path / "submission.json.partial").unlink()  # its rename will fail
        files.write(b"whole", REPORT)
    assert path.read_bytes() == b"whole"
    assert "submission.json cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "submission.json").exists()


# --- real disks: a file system of our own in a namespace of our own ---


def in_namespace(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a shell script in a mount namespace; skip where the system has none for us."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    return subprocess.run(
        [unshare, "-Urm", "sh", "-ec", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def on_disk(mounted: Mounted, options: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the runner with a working folder that is a tmpfs; its files end up in `saved`."""
    variables = " ".join(f"{key}='{value}'" for key, value in mounted.environment().items())
    command = " ".join(f"'{word}'" for word in mounted.command(*words))
    saved = mounted.root / "saved"
    saved.mkdir(exist_ok=True)
    return in_namespace(
        f"mount -t tmpfs -o {options} none '{mounted.working}'\ncd '{mounted.working}'\n"
        f"set +e; env {variables} {command}; code=$?\n"
        f"rm -f filler; cp -a . '{saved}'; exit $code",
        mounted.root,
    )


@pytest.fixture
def mounted(mount: Mount) -> Mounted:
    """Fifteen patients."""
    return mount(15)


# From the first image on the disk is full to its last byte.
FILL = """\
def before(path):
    try:
        with open(os.path.join(os.environ["PWD"], "filler"), "ab", buffering=0) as stream:
            while True:
                stream.write(bytes(4096))
    except OSError:
        pass
"""


def test_a_disk_that_fills_up_later_costs_nothing(mounted: Mounted) -> None:
    assert mounted.run().returncode == 0
    expected = mounted.csv.read_bytes()
    for path in mounted.working.iterdir():
        path.unlink()
    mounted.plant(FILL)
    result = on_disk(mounted, "size=400k")
    assert result.returncode == 0, result.stdout + result.stderr
    saved = mounted.root / "saved"
    assert (saved / "submission.csv").read_bytes() == expected
    report = json.loads((saved / "submission.json").read_text())
    assert report["state"] == "complete"
    assert report["csv_sha256"] == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize("size", ["4k", "20k", "60k"])
def test_a_disk_that_is_too_small_is_said_before_any_work(mounted: Mounted, size: str) -> None:
    result = on_disk(mounted, f"size={size}")
    assert result.returncode == 1, result.stderr
    assert "submission.csv cannot be written: No space left on device" in result.stderr
    assert "Free some space there, or name a file in another folder with --output." in result.stderr
    assert "Traceback" not in result.stderr
    assert listed(mounted.root / "saved") == set()


def test_a_folder_that_is_read_only_is_said_before_any_work(mounted: Mounted) -> None:
    result = on_disk(mounted, "ro,size=1m")
    assert result.returncode == 1, result.stderr
    assert "submission.csv cannot be written: Read-only file system. Make the folder writable" in (
        result.stderr
    )
    assert list((mounted.root / "scratch").iterdir()) == []  # nothing was installed yet


def test_on_a_full_disk_an_old_submission_is_out_of_the_way(mounted: Mounted) -> None:
    script = (
        f"mount -t tmpfs -o size=16k none '{mounted.working}'\ncd '{mounted.working}'\n"
        "echo old > submission.csv\n"
        "set +e; dd if=/dev/zero of=filler bs=4096 2>/dev/null\n"
        f"{sys.executable} -c 'from inference.output import Output; Output(\n"
        'type(__import__("pathlib").Path())("submission.csv")).__enter__()\' 2>/dev/null\n'
        "code=$?; ls; exit $code"
    )
    result = in_namespace(script, mounted.root)
    assert result.returncode == 1
    assert "submission.csv.old" in result.stdout.split()
    assert "submission.csv" not in result.stdout.split()
