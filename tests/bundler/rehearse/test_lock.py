"""One rehearsal at a time, in a folder of its own, whatever an earlier one left."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from bundler.errors import CheckError
from bundler.rehearse import lock


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    out = tmp_path / "rehearsal"
    with (
        lock.only_one(out),
        pytest.raises(CheckError, match=f"process {os.getpid()}"),
        lock.only_one(out),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_rehearsal_left_is_in_nobodys_way(tmp_path: Path) -> None:
    out = tmp_path / "rehearsal"
    (tmp_path / ".rehearsal.lock").write_text("999999")
    (tmp_path / ".rehearsal-work-killed" / "new").mkdir(parents=True)
    with lock.only_one(out), lock.work_folder(out) as folder:
        assert list(tmp_path.glob(".rehearsal-work-*")) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_its_holder_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder ends between our opening of the file and our locking of it."""
    path, real, calls = tmp_path / ".rehearsal.lock", fcntl.flock, list[int]()

    def flock(stream: object, operation: int) -> None:
        if not calls:
            path.unlink()
        calls.append(operation)
        real(stream, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.only_one(tmp_path / "rehearsal"):
        assert path.read_text() == str(os.getpid())
    assert len(calls) == 2


def test_a_polite_request_to_end_cleans_up(tmp_path: Path) -> None:
    out = tmp_path / "rehearsal"
    with (
        pytest.raises(KeyboardInterrupt),
        lock.only_one(out),
        lock.ended_by_signals(),
        lock.work_folder(out),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
