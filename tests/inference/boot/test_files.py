"""Restoring a model bundle of files: verified whole, linked where it can be, never half-done."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference.boot import bundle as bundles
from inference.boot import files
from inference.boot.bundle import Bundle
from inference.boot.manifest import File, Member
from inference.errors import BundleError, InputError
from tests.bundler.model.model_trees import build, digests, fill, nnunet


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle of an nnU-Net tree: 40 files alone, the rest in one volume."""
    return build(nnunet(tmp_path), out=tmp_path / "input" / "model").bundle


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def alter(path: Path, place: int = -1) -> None:
    """Change one byte of a file, and neither its size nor its time."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


# --- verified ---


def test_refuses_a_damaged_file(bundle: Bundle, scratch: Path) -> None:
    alter(next(bundle.folder.glob("*fold_3__checkpoint_best*")))
    with pytest.raises(BundleError, match=r"fold_3__checkpoint_best\.pth\.tmp was altered"):
        files.restore(bundle, scratch)
    assert list(scratch.iterdir()) == []


def test_refuses_a_damaged_byte_in_a_volume(bundle: Bundle, scratch: Path) -> None:
    (volume,) = bundle.folder.glob("volume-*")
    with tarfile.open(volume) as tar:
        place = next(entry.offset_data for entry in tar if entry.size)
    alter(volume, place)
    with pytest.raises(BundleError, match=r"volume-0\.tar\.tmp/Dataset501.* was altered"):
        files.restore(bundle, scratch)
    assert list(scratch.iterdir()) == []


def test_refuses_a_cut_volume(bundle: Bundle, scratch: Path) -> None:
    (volume,) = bundle.folder.glob("volume-*")
    os.truncate(volume, volume.stat().st_size // 2)
    with pytest.raises(BundleError, match="was altered"):
        files.restore(bundle, scratch)


def test_refuses_a_missing_file(bundle: Bundle, scratch: Path) -> None:
    next(bundle.folder.glob("*fold_0__checkpoint_final*")).unlink()
    with pytest.raises(BundleError, match=r"checkpoint_final\.pth\.tmp is missing"):
        files.restore(bundle, scratch)


# --- again ---


def test_a_second_start_uses_what_the_first_restored(bundle: Bundle, scratch: Path) -> None:
    first = files.restore(bundle, scratch)
    inode = first.stat().st_ino
    assert files.restore(bundle, scratch).stat().st_ino == inode
    assert [path.name for path in scratch.iterdir()] == [first.name]


def _alter_member(restored: Path) -> None:
    alter(next(path for path in restored.rglob("case_*") if not path.is_symlink()))


def _redirect(restored: Path) -> None:
    link = next(restored.rglob("checkpoint_final.pth"))
    link.unlink()
    link.write_bytes(b"others")


def _remove(restored: Path) -> None:
    next(restored.rglob("plans.json")).unlink()


def _add(restored: Path) -> None:
    (restored / "sitecustomize.py").touch()


def _remove_folder(restored: Path) -> None:
    next(restored.rglob("crossval*")).rmdir()


def _half(restored: Path) -> None:
    shutil.rmtree(restored)
    restored.mkdir()


def _file(restored: Path) -> None:
    shutil.rmtree(restored)
    restored.touch()


def _link(restored: Path) -> None:
    moved = restored.rename(restored.with_name("elsewhere"))
    restored.symlink_to(moved)


@pytest.mark.parametrize(
    "damage",
    [_alter_member, _redirect, _remove, _add, _remove_folder, _half, _file, _link],
    ids=lambda damage: damage.__name__,
)
def test_a_second_start_trusts_nothing_that_is_not_whole(
    bundle: Bundle, scratch: Path, damage: Callable[[Path], None]
) -> None:
    first = files.restore(bundle, scratch)
    expected = digests(first)
    damage(first)
    again = files.restore(bundle, scratch)
    assert digests(again) == expected
    assert not again.is_symlink()
    assert len(list(again.rglob("crossval*"))) == 1


def test_a_second_start_sees_that_the_input_was_altered(bundle: Bundle, scratch: Path) -> None:
    files.restore(bundle, scratch)
    alter(next(bundle.folder.glob("*fold_3__checkpoint_best*")))
    with pytest.raises(BundleError, match="was altered"):
        files.restore(bundle, scratch)


def test_the_input_may_be_read_only_and_is_not_written_to(bundle: Bundle, scratch: Path) -> None:
    paths = [bundle.folder, *bundle.folder.iterdir()]
    before = digests(bundle.folder), [path.stat().st_mtime_ns for path in paths]
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o555)
    restored = files.restore(bundle, scratch)
    files.restore(bundle, scratch)
    shutil.rmtree(restored)
    assert (digests(bundle.folder), [path.stat().st_mtime_ns for path in paths]) == before
    for path in paths:
        path.chmod(0o755)


def test_the_links_hold_where_the_input_was_named_relatively(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    restored = files.restore(bundles.read("input/model"), Path("scratch"))
    monkeypatch.chdir("/")
    assert restored.is_absolute()
    assert len(digests(restored)) == 121


def test_says_what_was_verified_and_how_fast(
    bundle: Bundle, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.restore(bundle, scratch)
    said = capsys.readouterr().out
    assert f"model {bundle.id[:12]}: verified" in said
    assert "MB/s" in said
    assert "40 files linked, 81 unpacked" in said


# --- killed, full, two at once ---

RESTORE = """
import sys, time
from pathlib import Path
from inference.boot import bundle, files, parallel
from inference.errors import RunError
seconds = float(sys.argv[3])
link = files._symlink
def slow(source, target):
    link(source, target)
    time.sleep(seconds)
files._symlink = slow
try:
    print(files.restore(bundle.read(sys.argv[1]), Path(sys.argv[2])))
except RunError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def start(bundle: Bundle, scratch: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return what restores the bundle in a process of its own; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def run(seconds: float, **more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RESTORE, str(bundle.folder), str(scratch), str(seconds)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes, **more))  # type: ignore[call-overload]
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_kill_leaves_nothing_that_the_next_start_trusts(
    bundle: Bundle, scratch: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    killed = start(600)
    end = time.monotonic() + 60
    while not list(scratch.glob(".model-*/files/**/*.pth")) and time.monotonic() < end:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert [path.name[:7] for path in scratch.iterdir()] == [".model-"]
    restored = files.restore(bundle, scratch)
    assert len(digests(restored)) == 121
    assert [path.name for path in scratch.iterdir()] == [restored.name]


def test_two_starts_at_once_end_with_one_folder(
    bundle: Bundle, scratch: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    both = [start(0.02), start(0.02)]
    lines = {process.communicate(timeout=60)[0].splitlines()[-1] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (restored,) = lines
    assert files.is_restored(Path(restored), files.contents(bundle))
    assert [path.name for path in scratch.iterdir()] == [Path(restored).name]


def test_a_full_disk_is_said_and_leaves_nothing(
    scratch: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # noqa: E731
    full = start(0, preexec_fn=limit)
    _, said = full.communicate(timeout=60)
    assert full.returncode == InputError.exit_code
    assert "cannot be restored" in said
    assert "--scratch" in said
    assert list(scratch.iterdir()) == []


def test_a_scratch_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    """Small files take a block each: nothing that was asked beforehand tells."""
    for number in range(300):
        fill(tmp_path / "m" / f"{number}.txt", 1)
    made = build(tmp_path / "m", out=tmp_path / "model").bundle
    (small_disk / "taken").write_bytes(bytes(shutil.disk_usage(small_disk).free - 400_000))
    with pytest.raises(InputError, match=r"No space left on device.*--scratch"):
        files.restore(made, small_disk / "scratch")
    assert list((small_disk / "scratch").iterdir()) == []


def test_refuses_what_the_scratch_cannot_hold_before_unpacking(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    member = Member(name="m/x", sha256="0" * 64)
    volume = File(
        name="v.tar", shipped="v.tar.tmp", sha256="0" * 64, bytes=2 * free, members=(member,)
    )
    held = files.Contents(alone=(), volumes=(volume,), folders=())
    with pytest.raises(InputError, match=r"GB free\. Name another folder with --scratch"):
        files.check_space(held, tmp_path)


# --- bundles of another kind ---


def test_of_an_onnx_bundle_it_is_the_folder_itself(tmp_path: Path, scratch: Path) -> None:
    from bundler import bundle as writer
    from inference.boot.manifest import Golden, Model

    part = Model(models=(), golden=Golden(dicoms=(), predictions=()))
    onnx = fill(tmp_path / "model.onnx", 100)
    built = writer.write(tmp_path / "model", {"model.onnx": onnx}, part)
    assert files.restore(built.bundle, scratch) == tmp_path / "model"
    alter(tmp_path / "model" / "model.onnx")
    with pytest.raises(BundleError, match="was altered"):
        files.restore(built.bundle, scratch)
