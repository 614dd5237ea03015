"""Memory, disk, open files and threads at the hidden test's size: what grows, and where."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bundler.competition.check import Check
from bundler.rehearse import quantities
from bundler.rehearse.checks import growth
from bundler.rehearse.quantities import Limits
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.sampling import Role, RoleUse
from bundler.rehearse.run.watchdog import Usage
from tests.bundler.rehearse.checks.test_projection import RUN

MB, GB = 10**6, 10**9


def run(size: int, *, tmp: int = 0, working: int = 0, **roles: RoleUse) -> NotebookRun:
    """Return a run that used so much of what."""
    peaks: dict[Role, RoleUse] = {"kernel": RoleUse(rss_bytes=80 * MB, files=20, threads=5)}
    peaks |= {"command": RoleUse(rss_bytes=300 * MB, files=12, threads=4)}
    peaks |= roles  # type: ignore[arg-type]
    usage = Usage(peak_bytes=sum(use.rss_bytes for use in peaks.values()), peaks=peaks)
    return replace(RUN, size=size, usage=usage, working_peak=working, tmp_peak=tmp)


def check(*runs: NotebookRun, further: float = 0.0) -> Mapping[str, Check]:
    """Check some runs at 32,000 images."""
    limits = Limits(memory=29 * GB, working=20 * GB, tmp=57 * GB)
    found = quantities.measure(runs, 32_000, limits, further=further)
    return {one.name: one for one in growth.check(found, "images", 32_000)}


def test_sound_runs_pass() -> None:
    checks = check(run(50), run(500, command=RoleUse(rss_bytes=303 * MB, files=13, threads=5)))
    assert {one.status for one in checks.values()} == {"passed"}
    assert set(checks) == {"memory", "disk", "open files", "threads"}


def leak(role: str, **each: float) -> tuple[NotebookRun, ...]:
    """Return three runs whose processes of a role grow with each image."""
    start = RoleUse(rss_bytes=300 * MB, files=12, threads=4)

    def use(size: int) -> RoleUse:
        return replace(
            start,
            **{name: int(getattr(start, name) + more * size) for name, more in each.items()},
        )

    return tuple(run(size, **{role: use(size)}) for size in (50, 500, 2000))


@pytest.mark.parametrize(
    ("role", "place"),
    [
        ("command", "The command's own process"),
        ("worker", "The command's child processes"),
    ],
)
def test_a_leak_is_named_with_its_process(role: str, place: str) -> None:
    memory = check(*leak(role, rss_bytes=1.2 * MB))["memory"]
    assert memory.status == "failed"
    assert f"{place} grew by 1.20 MB for each image, by runs on 50, 500 and 2000." in memory.message
    assert re.match(r"3[89]\.\d\d of 29\.0 GB at 32000 images", memory.message)


@pytest.mark.parametrize(("each", "status"), [(0.05, "passed"), (0.7, "unproven"), (1.0, "failed")])
def test_a_leak_that_fits_is_no_failure(each: float, status: str) -> None:
    assert check(*leak("command", rss_bytes=each * MB))["memory"].status == status


def test_a_library_that_is_loaded_late_is_no_leak() -> None:
    """After 100 images 100 MB more, once: two sizes leave it open, a third tells."""

    def late(size: int) -> NotebookRun:
        return run(size, worker=RoleUse(rss_bytes=(200 + 100 * (size > 100)) * MB))

    assert check(late(50), late(136))["memory"].status == "unproven"
    assert check(late(50), late(136), late(2000))["memory"].status == "passed"
    between = check(late(34), late(68), late(136))["memory"]
    assert between.status == "unproven"
    assert "power" not in between.message


def test_memory_that_grows_with_the_square_is_named_with_its_power() -> None:
    runs = [
        run(n, command=RoleUse(rss_bytes=int(300 * MB + 2000 * n * n))) for n in (20, 80, 300, 1000)
    ]
    memory = check(*runs)["memory"]
    assert memory.status == "failed"
    assert "grew with the power 2.0" in memory.message


@pytest.mark.parametrize(
    ("folder", "place"),
    [("working", "/kaggle/working"), ("tmp", "The temporary folder")],
)
def test_disk_that_grows_is_named_with_its_folder(folder: str, place: str) -> None:
    disk = check(*(run(n, **{folder: 2 * MB * n}) for n in (50, 500, 2000)))["disk"]  # type: ignore[arg-type]
    assert disk.status == "failed"
    assert f"{place} grew by 2.00 MB for each image" in disk.message


def test_files_that_are_never_closed() -> None:
    files = check(*leak("worker", files=0.5))["open files"]
    assert files.status == "failed"
    assert "Open files of the command's child processes grew by 0.50" in files.message
    assert "Close each file" in files.message


def test_threads_that_never_end() -> None:
    threads = check(*leak("command", threads=1.0))["threads"]
    assert threads.status == "failed"
    assert "Threads of the command's own process grew by 1.00 for each image" in threads.message


def test_of_one_size_nothing_is_known_but_what_is_too_much_already() -> None:
    checks = check(run(50))
    assert {one.status for one in checks.values()} == {"unproven"}
    assert "Whether it grows is not known" in checks["memory"].message
    large = run(50, working=17 * GB, command=RoleUse(rss_bytes=25 * GB))
    checks = check(large)
    assert checks["memory"].status == checks["disk"].status == "failed"
    assert "17.00 of 20.0 GB at 50 images" in checks["disk"].message


def test_workers_of_further_cores_count() -> None:
    assert "0.58 of 29.0 GB" in check(run(50), run(500), further=200 * MB)["memory"].message
