"""The sandbox of macOS, as far as that can be tested elsewhere: what is written and started."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.rehearse.run import sampling
from bundler.sandbox import backends, offline, seatbelt


@pytest.fixture
def on_macos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Pretend to be on macOS, with a `sandbox-exec` that notes its profile and runs the rest."""
    program = tmp_path / "bin" / "sandbox-exec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf %s "$2" > {tmp_path}/profile\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")
    offline.why_not.cache_clear()
    yield tmp_path / "profile"
    offline.why_not.cache_clear()


def test_the_profile_cuts_all_but_loopback_and_keeps_folders(tmp_path: Path) -> None:
    odd = tmp_path / 'a "b" \\c'
    odd.mkdir()
    assert seatbelt.profile([odd]).splitlines() == [
        "(version 1)",
        "(allow default)",
        "(deny network*)",
        '(allow network-bind (local ip "localhost:*"))',
        '(allow network-inbound (local ip "localhost:*"))',
        '(allow network-outbound (remote ip "localhost:*"))',
        f'(deny file-write* (subpath "{tmp_path}/a \\"b\\" \\\\c"))',
    ]
    assert seatbelt.profile([], network=True) == "(version 1)\n(allow default)\n"


def test_a_folder_is_named_as_it_really_lies(tmp_path: Path) -> None:
    """The kernel compares real paths, and /tmp is a link on macOS."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert f'"{tmp_path / "real"}"' in seatbelt.profile([tmp_path / "link"])


def test_it_is_chosen_on_macos_alone(on_macos: Path) -> None:
    assert backends.choose() == "sandbox-exec"
    assert offline.why_not() is None
    assert offline.run(["echo", "here"], read_only=[on_macos.parent]).stdout == "here\n"
    assert on_macos.read_text() == seatbelt.profile([on_macos.parent])


def test_elsewhere_it_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert backends.reasons()["sandbox-exec"] == "this is not macOS"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "sandbox-exec, a part of macOS, is missing" in str(backends.reasons()["sandbox-exec"])


def test_a_sandbox_becomes_links_below_a_root(tmp_path: Path) -> None:
    for name in ("own/out", "out", "data", "working"):
        (tmp_path / name).mkdir(parents=True)
    links = {"/rehearsal/out": tmp_path / "out", "/rehearsal": tmp_path / "own"}
    links["/kaggle/input/slug"] = tmp_path / "data"
    links["/kaggle/working"] = tmp_path / "working"
    seatbelt.lay_out(tmp_path / "root", links)
    root = tmp_path / "root"
    assert (root / "kaggle/input/slug").resolve() == tmp_path / "data"
    assert (root / "rehearsal/out").resolve() == tmp_path / "out"
    assert list((root / "kaggle/working").iterdir()) == []


@pytest.mark.skipif(not shutil.which("ps"), reason="the program ps is missing")
def test_memory_is_read_from_ps_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; held = bytearray(b'x' * 50_000_000); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:  # type: ignore[call-overload]
        child.stdout.readline()
        by_proc = {one.pid: one.rss_bytes for one in sampling.look(os.getpid())}
        monkeypatch.setattr(sampling, "PROC", Path("/nonexistent"))
        by_ps = {one.pid: one.rss_bytes for one in sampling.look(os.getpid())}
        child.communicate()
    assert by_ps[child.pid] == pytest.approx(by_proc[child.pid], rel=0.1)
    assert by_ps[child.pid] > 50_000_000
