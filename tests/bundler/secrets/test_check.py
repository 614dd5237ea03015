"""What cannot be searched does not count as clean, and every bundle is searched."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler import bundle
from bundler.errors import BundlerError, InputError
from bundler.model import files
from bundler.model.files import FilesOptions
from bundler.notebook import libs as libs_notebook
from bundler.secrets import rules, unpack
from bundler.secrets.check import check_bundle, check_files, check_paths
from inference.boot import bundle as reader
from inference.boot.manifest import Code
from tests.bundler.secrets.planted import environ, filler, tarred, word, zipped
from tests.recorder import Recorder

ROOT = Path(__file__).parents[3]
CODE = Code(commit="a" * 40, dirty=False, branch=None, runner="1", run=None)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be searched"):
        check_paths({"a.txt": tmp_path}, "The model")


def test_an_engine_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def scan(self, text: bytes) -> None:
            raise RuntimeError(text.decode())

    monkeypatch.setattr(rules, "_scanner", lambda encoded: Failing())
    with pytest.raises(BundlerError, match="search for secrets failed") as caught:
        check_files({"a.py": b"private text"}, "The commit")
    assert "private text" not in str(caught.value)


def test_an_archive_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_UNPACKED", 1 << 20)
    bomb = zipped({"a.txt": filler(2), "b.py": environ().encode()})
    with pytest.raises(InputError, match=r"cannot be searched.*\n  a\.zip unpacks to more than"):
        check_files({"a.zip": bomb}, "The commit")


def test_archives_in_archives_without_end() -> None:
    content = environ().encode()
    for _ in range(8):
        content = zipped({"a.zip": content})
    with pytest.raises(InputError, match="archives in archives"):
        check_files({"a.zip": content}, "The commit")


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_MEMBERS", 3)
    content = tarred({f"{number}.txt": b"x" for number in range(5)})
    with pytest.raises(InputError, match="more than 3 files"):
        check_files({"a.tgz": content}, "The commit")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"a": filler(1)})[:-60], None),  # no zip any more: its bytes are searched
        (tarred({"a.txt": os.urandom(9000)})[:5000], "is damaged"),
        (b"\x1f\x8b" + b"no gzip at all" * 9, "is damaged"),
        (b"BZh9" + b"no bzip2 at all" * 9, "is damaged"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "is a 7z archive"),
    ],
)
def test_what_was_not_searched_is_said(content: bytes, message: str | None) -> None:
    progress = Recorder()
    check_files({"a.dat": content}, "The commit", progress=progress)
    assert [message in text for text in progress.texts] == ([True] if message else [])


def test_text_that_poses_as_an_archive() -> None:
    with pytest.raises(InputError, match="Kaggle's key"):
        check_files({"a.bz2": b"BZh9\n" + environ().encode()}, "The commit")


def test_an_encrypted_member() -> None:
    content = bytearray(zipped({"a.txt": environ().encode()}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = content.index(mark)
        content[at + (6 if mark.endswith(b"\x04") else 8)] |= 1
    progress = Recorder()
    check_files({"a.zip": bytes(content)}, "The commit", progress=progress)
    assert progress.texts == ["a.zip!a.txt is encrypted, so it was not searched for secrets."]


# --- each bundle ---


def test_a_model_of_files_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.bin").write_bytes(filler(2) + environ().encode())
    options = FilesOptions(paths=(tmp_path / "weights",), out=tmp_path / "model")
    with pytest.raises(InputError, match=r"config\.bin:50001: Kaggle's key"):
        files.build(options)
    assert not (tmp_path / "model").exists()


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    part = Code(commit="a" * 40, dirty=False, branch=f"ghp_{word(36)}", runner="1", run=None)
    with pytest.raises(InputError, match=r"bundle\.json:\d+: github pat"):
        bundle.write(tmp_path / "code", {"a.txt": tmp_path / "a.txt"}, part)
    assert not (tmp_path / "code").exists()


def test_a_bundle_that_is_about_to_leave(tmp_path: Path) -> None:
    (tmp_path / "tree.zip").write_bytes(zipped({"tree/a.py": environ().encode()}))
    built = bundle.write(tmp_path / "code", {"tree.zip": tmp_path / "tree.zip"}, CODE)
    with pytest.raises(InputError, match=r"tree\.zip!tree/a\.py:1: Kaggle's key"):
        check_bundle(reader.read(built.bundle.folder))


def test_a_wheel_of_an_index_may_have_keys_of_its_own(
    tmp_path: Path, make_wheel: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("tests_of_ssh")
    with tarfile.open(tmp_path / "wheels.tar", "w") as tar:
        tar.add(wheel, wheel.name)
    check_paths({"a.whl": wheel}, "The wheels", public=["a.whl"])
    monkeypatch.setenv("HF_TOKEN", "VERSION = '1.0'")
    with pytest.raises(InputError, match=r"a\.whl!tests_of_ssh/__init__\.py:1: the very value"):
        check_paths({"a.whl": wheel}, "The wheels", public=["a.whl"])


def test_a_notebook_before_it_is_written(tmp_path: Path) -> None:
    address = f"https://me:{word(12)}@host/a.git"
    with pytest.raises(InputError, match=r"libs\.ipynb:\d+: a password in an address \(cell 1\)"):
        libs_notebook.write(tmp_path, [f"a @ git+{address}"])
    assert list(tmp_path.iterdir()) == []


# --- the engine ---

WITHOUT_SOCKETS = """
import ctypes, sys
from bundler.sandbox import seccomp
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
numbers, killed = seccomp.machine(), 0x80000000
seccomp.load([
    seccomp._step(seccomp.LOAD, seccomp.NUMBER),
    seccomp._step(seccomp.EQUAL, numbers.socket, otherwise=1),
    seccomp._step(seccomp.RETURN, killed),
    seccomp._step(seccomp.RETURN, seccomp.ALLOW),
])
from bundler.errors import InputError
from bundler.secrets.check import check_files
try:
    check_files({"a.py": sys.argv[1].encode()}, "The commit")
except InputError:
    print("refused", flush=True)
if sys.argv[2:]:
    import socket
    socket.socket()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
@pytest.mark.parametrize(("more", "code"), [([], 0), (["socket"], -signal.SIGSYS)])
def test_no_socket_is_opened(more: list[str], code: int) -> None:
    # A token of a service that the engine could ask about; the kernel kills who opens a socket.
    command = [sys.executable, "-c", WITHOUT_SOCKETS, f"x = 'ghp_{word(36)}'", *more]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout) == (code, "refused\n"), result.stderr


def test_without_the_engine_nothing_passes() -> None:
    source = """
import sys
sys.modules["kingfisher_sdk"] = None
from bundler import extras
from bundler.secrets.check import check_files
try:
    check_files({"a.py": b"x"}, "The commit")
except ModuleNotFoundError as error:
    extras.refuse(error)
"""
    command = [sys.executable, "-c", source]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 3
    assert "kingfisher_sdk is not installed" in result.stderr
    assert "rsna-bundle[bundle]" in result.stderr
