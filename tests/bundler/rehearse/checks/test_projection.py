"""The projection: cores and their speed scale the rate, not what does not grow with the rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.competition.protocol import Measurement, RunOutput, Stratum
from bundler.image.target import Target
from bundler.rehearse.checks import projection
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run.limits import Limits
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.sampling import RoleUse
from bundler.rehearse.run.setup import Kind
from bundler.rehearse.run.watchdog import Usage
from bundler.settings import Settings

NOWHERE = Path("/nonexistent")
STAGE = {"read": 0.01, "decode": 0.08, "prepare": 0.01}
STRATUM = Stratum(name="JPEG 2000", share=1.0, count=100, seconds=(STAGE, STAGE))
MEASURED = Measurement(
    rows="images",
    sample=100,
    rates=(0.1, 0.1, 0.1, 0.1),
    strata=(STRATUM,),
    predict_seconds=0.05,
    worker_bytes=100_000_000,
    on_gpu=False,
)
# 100 images: 10 s + 100 × 0.1 s.
RUN = NotebookRun(
    layout="new",
    kind="small",
    size=100,
    returncode=0,
    log="",
    error=None,
    cells=(),
    seconds=20.0,
    sizes={"submission.csv": 1000},
    tmp_bytes=5,
    working="",
    full=False,
    programs=(),
    libraries=(),
    working_peak=1000,
    tmp_peak=5,
    events=(),
    names=(),
    lost_packets=0,
    usage=Usage(peak_bytes=1_000_000_000, peaks={"kernel": RoleUse()}),
    ids={},
    output=RunOutput(working=NOWHERE, probe=NOWHERE),
)


def took(size: int, seconds: float, kind: Kind = "grown", others: float = 0.0) -> NotebookRun:
    """Return a run whose command took so many seconds; 5 s were spent beside it."""
    use = {"kernel": RoleUse(), "command": RoleUse(seconds=seconds)}
    usage = Usage(peaks=use, others=others)
    return replace(RUN, kind=kind, size=size, seconds=5 + seconds, usage=usage)


SMALL = replace(RUN, usage=took(100, 15.0).usage)
# Small images, in no time to speak of: nothing else grows with them.
GROWN = took(400, 15.3)


def target(**more: Any) -> Target:
    """Return a target of four cores."""
    about: dict[str, Any] = {"cpus": 4, "memory_bytes": 30_000_000_000}
    plain: dict[str, Any] = {"name": "t", "python": "3.13.1", "system": "linux"}
    return Target(**plain, machine="x86_64", release="2.35", **about | more)


def project(
    machine: Target,
    runs: Sequence[NotebookRun] = (SMALL, GROWN),
    measured: Measurement | None = MEASURED,
    limit_seconds: float = 3600.0,
) -> projection.Projection:
    """Project to 1,000 images, from two cores."""
    settings = Settings(root=NOWHERE, hidden_units=1000)
    inputs = Inputs(
        options=RehearseOptions(settings=settings, dist=NOWHERE, out=NOWHERE),
        target=machine,
        targets=(machine,),
        bundles={},
        notebook=NOWHERE,
        backend="",
        limits=Limits(
            cpus=2,
            memory_bytes=10**10,
            working_bytes=2 * 10**10,
            seconds=limit_seconds,
            stall_seconds=600.0,
        ),
    )
    projected = projection.project(runs, measured, "rows", inputs)
    assert projected is not None
    return projected


@pytest.fixture
def core_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine's core take 0.05 s for the piece of work that calibrates."""
    monkeypatch.setattr(projection.capture, "core_seconds", lambda: 0.05)


def test_scales_the_rate_by_cores_and_keeps_the_rest() -> None:
    projected = project(target())
    assert projected.fixed_seconds == pytest.approx(10)
    assert projected.seconds == pytest.approx(10 + 1000 * 0.1 * 2 / 4)
    assert projected.seconds_low < projected.seconds < projected.seconds_high


@pytest.mark.usefixtures("core_seconds")
def test_scales_by_the_speed_of_a_calibrated_core() -> None:
    projected = project(target(core_seconds=0.1))
    assert projected.core_speed == pytest.approx(0.5)  # half as fast as here
    assert projected.seconds == pytest.approx(10 + 1000 * 0.1)
    assert "file" not in projected.check().message


@pytest.mark.usefixtures("core_seconds")
def test_a_rate_that_varies_widens_the_interval() -> None:
    machine = target(core_seconds=0.05)
    steady = project(machine)
    varied = project(machine, measured=replace(MEASURED, rates=(0.05, 0.15, 0.05, 0.15)))
    assert varied.seconds == pytest.approx(steady.seconds)
    assert varied.seconds_high - varied.seconds_low > steady.seconds_high - steady.seconds_low


@pytest.mark.parametrize(
    ("limit", "status"), [(1000.0, "passed"), (90.0, "unproven"), (60.0, "failed")]
)
def test_red_above_80_percent_of_the_limit(limit: float, status: str) -> None:
    assert project(target(), limit_seconds=limit).check().status == status


def test_without_the_targets_gpu_only_decoding_is_known() -> None:
    projected = project(target(gpus=("Tesla T4",)), limit_seconds=60.0)
    assert projected.gpu_missing
    check = projected.check()
    assert check.status == "unproven"
    assert "a GPU that this machine lacks" in check.message


def test_a_gpu_that_predicted_is_not_missing() -> None:
    projected = project(target(gpus=("Tesla T4",)), measured=replace(MEASURED, on_gpu=True))
    assert not projected.gpu_missing


def test_the_error_of_drawing_images_is_that_of_a_stratified_sample() -> None:
    """Kinds that take different times widen nothing; images of one kind that do, widen."""

    def stratum(*decode: float) -> Stratum:
        seconds = tuple({"read": 0.0, "decode": one, "prepare": 0.0} for one in decode)
        return Stratum(name=str(decode), share=0.5, count=50, seconds=seconds)

    apart = (stratum(*[0.09] * 4), stratum(*[0.01] * 4))
    within = (stratum(0.09, 0.01, 0.09, 0.01), stratum(0.01, 0.09, 0.01, 0.09))
    spans = []
    for strata in (apart, within):
        projected = project(target(), measured=replace(MEASURED, strata=strata))
        spans.append(projected.seconds_high / projected.seconds_low)
    assert spans[0] < spans[1]


def test_kinds_without_a_share_count_for_nothing() -> None:
    awkward = Stratum(name="RLE", share=0.0, count=0, seconds=(STAGE, {**STAGE, "decode": 9.0}))
    projected = project(target(), measured=replace(MEASURED, strata=(STRATUM, awkward)))
    assert projected.seconds_high == project(target()).seconds_high
    assert set(projected.stages) == {"JPEG 2000", "RLE"}


def test_what_the_sample_cannot_tell_is_said() -> None:
    doubts = ("Half of the images are RLE.", "Real ones are larger.")
    projected = project(target(), measured=replace(MEASURED, doubts=doubts))
    assert " Half of the images are RLE. Real ones are larger." in projected.check().message


def test_awkward_images_alone_prove_no_time() -> None:
    assert project(target(), measured=replace(MEASURED, sample=0)).check().status == "unproven"


def test_phantoms_are_not_taken_for_real_images() -> None:
    phantoms = replace(MEASURED, rows="phantoms of at most 2332×3064", scale=2.0)
    check = project(target(), measured=phantoms, limit_seconds=130.0).check()
    assert check.message.startswith("Not known. 1000 phantoms of at most 2332×3064 take 60 s")
    assert "With images as large as real ones may be, it would be up to" in check.message
    assert check.status == "unproven"  # even where twice that would be within the limit
    assert project(target(), measured=phantoms, limit_seconds=9999.0).check().status == "unproven"
    assert project(target(), limit_seconds=1300.0).check().status == "passed"


# --- growth ---

SQUARE = (took(100, 3, "small"), took(400, 3 + 8), took(800, 3 + 32))


def test_time_that_grows_with_the_square_is_named_and_fails() -> None:
    """Beside a rate at which all seems well: 50 s + 1,000² · 5e-5 · … of small images."""
    check = project(target(), (SMALL, *SQUARE[1:]), limit_seconds=90.0).check()
    assert check.status == "failed"
    assert "grows with the power" in check.message
    assert "by runs on 100, 400 and 800" in check.message


def test_a_command_is_projected_from_its_runs() -> None:
    runs = (took(10, 2.5, "small"), took(110, 12.5), took(210, 22.5))
    projected = project(target(cpus=2), runs, measured=None)
    assert projected.seconds == pytest.approx(5 + 1.5 + 1000 * 0.1, rel=0.02)
    assert projected.rows == "rows"
    assert projected.check().status == "passed"
    assert project(target(), runs, measured=None, limit_seconds=100.0).check().status == "failed"


def test_a_first_run_that_warms_a_cache_makes_nothing_look_fast() -> None:
    """It took 10 s more than the second, on a tenth of the rows: 1,000 rows still take 100 s."""
    runs = (took(10, 12.0, "small"), took(110, 12.0))
    projected = project(target(), runs, measured=None, limit_seconds=110.0)
    assert projected.seconds_high > 5 + 100
    assert projected.check().status == "unproven"
    third = project(target(), (*runs, took(220, 23.0)), measured=None)
    assert third.seconds == pytest.approx(5 + 1 + 100, rel=0.05)
    assert third.linear


def test_a_square_that_two_sizes_do_not_exclude_is_not_known() -> None:
    runs = (took(10, 2.0, "small"), took(40, 4.0))
    check = project(target(), runs, measured=None, limit_seconds=1000.0).check()
    assert check.status == "unproven"
    assert "which runs on 10 and 40 do not exclude" in check.message


def test_of_one_size_growth_is_not_known() -> None:
    check = project(target(), (SMALL,)).check()
    assert check.status == "unproven"
    assert "it was run at one size" in check.message


# --- other programs ---


def test_a_busy_machine_knows_no_time_rather_than_a_wrong_one() -> None:
    busy = (took(100, 15, "small", 0.5), took(400, 16, "grown", 0.5))
    check = project(target(), busy, limit_seconds=60.0).check()
    assert check.status == "unproven"
    assert "Other programs had 50% of the CPUs" in check.message
    assert project(target(), (SMALL, GROWN), limit_seconds=60.0).check().status == "failed"


def test_what_is_too_long_for_an_idle_machine_fails_on_a_busy_one_too() -> None:
    busy = (took(100, 15, "small", 0.5), took(400, 16, "grown", 0.5))
    assert project(target(), busy, limit_seconds=10.0).check().status == "failed"


def test_the_intervals_of_a_busy_and_an_idle_machine_overlap() -> None:
    """Half of the CPUs were another's: the rate was half, too."""
    slower = replace(MEASURED, rates=(0.2, 0.2, 0.2, 0.2))
    busy = (took(100, 30, "small", 0.5), took(400, 31, "grown", 0.5))
    crowded, idle = project(target(), busy, measured=slower), project(target())
    assert crowded.seconds_low <= idle.seconds_high
    assert idle.seconds_low <= crowded.seconds_high
