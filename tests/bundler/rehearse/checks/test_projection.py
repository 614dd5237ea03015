"""The projection: cores and their speed scale the rate, not what does not grow with images."""

from pathlib import Path
from typing import Any

import pytest

from bundler.competition.screening.mixture import Mixture
from bundler.image.target import Target
from bundler.rehearse.checks import projection
from bundler.rehearse.run.layout import Limits
from bundler.rehearse.run.notebook_run import Performance
from bundler.rehearse.run.watchdog import Watched

SYNTAX, OTHER = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70"
MIXTURE = Mixture(syntaxes={str(n): SYNTAX for n in range(100)}, shares={SYNTAX: 1.0})


def performance(**more: Any) -> Performance:
    """Return a performance of 100 images, 10 s + 100 × 0.1 s."""
    stage = {"read": 0.01, "decode": 0.08, "prepare": 0.01}
    values: dict[str, Any] = {
        "layout": "new",
        "returncode": 0,
        "log": "",
        "error": None,
        "cells": (),
        "seconds": 20.0,
        "working": Path("/nonexistent"),
        "sizes": {"submission.csv": 1000},
        "home": (),
        "disk_bytes": 5,
        "attempts": (),
        "names": (),
        "sent_nowhere": 0,
        "watched": Watched(peak_bytes=1_000_000_000),
        "report": {"images": {"total": 100}},
        "probed": {
            "rates": [0.1, 0.1, 0.1, 0.1],
            "stages": {SYNTAX: [stage, stage]},
            "providers": ["CPUExecutionProvider"],
            "predict_seconds_per_image": 0.05,
            "worker_bytes": 100_000_000,
        },
    }
    return Performance(**values | more)


def target(**more: Any) -> Target:
    """Return a target of four cores."""
    about: dict[str, Any] = {"cpus": 4, "memory_bytes": 30_000_000_000}
    plain: dict[str, Any] = {"name": "t", "python": "3.13.1", "system": "linux"}
    return Target(**plain, machine="x86_64", release="2.35", **about | more)


def project(seen: Performance, machine: Target, **more: Any) -> projection.Projection:
    """Project to 1,000 images, from two cores."""
    values: dict[str, Any] = {
        "mixture": MIXTURE,
        "hidden_images": 1000,
        "target": machine,
        "limits": Limits(cpus=2, memory_bytes=10**10, working_bytes=2 * 10**10, seconds=3600),
        "here_core_seconds": None,
        "limit_seconds": 3600.0,
    }
    found = projection.project(seen, **values | more)
    assert found is not None
    return found


def test_scales_the_rate_by_cores_and_keeps_the_rest() -> None:
    found = project(performance(), target())
    assert found.fixed_seconds == pytest.approx(10)
    assert found.seconds == pytest.approx(10 + 1000 * 0.1 * 2 / 4)
    assert found.seconds_low < found.seconds < found.seconds_high
    assert found.memory_bytes == 1_000_000_000 + 2 * 100_000_000


def test_scales_by_the_speed_of_a_calibrated_core() -> None:
    found = project(performance(), target(core_seconds=0.1), here_core_seconds=0.05)
    assert found.core_speed == pytest.approx(0.5)  # half as fast there
    assert found.seconds == pytest.approx(10 + 1000 * 0.1)
    assert "file" not in found.checks()[0].said


def test_a_rate_that_varies_widens_the_interval() -> None:
    steady = project(performance(), target(core_seconds=0.05), here_core_seconds=0.05)
    probed = dict(performance().probed or {}) | {"rates": [0.05, 0.15, 0.05, 0.15]}
    other = performance(probed=probed)
    varied = project(other, target(core_seconds=0.05), here_core_seconds=0.05)
    assert varied.seconds == pytest.approx(steady.seconds)
    assert varied.seconds_high - varied.seconds_low > steady.seconds_high - steady.seconds_low


@pytest.mark.parametrize(
    ("limit", "status"), [(1000.0, "passed"), (90.0, "unproven"), (60.0, "failed")]
)
def test_red_above_80_percent_of_the_limit(limit: float, status: str) -> None:
    found = project(performance(), target(), limit_seconds=limit)
    assert found.checks()[0].status == status


def test_without_the_targets_gpu_only_decoding_is_known() -> None:
    found = project(performance(), target(gpus=("Tesla T4",)), limit_seconds=60.0)
    assert found.gpu_missing
    check = found.checks()[0]
    assert check.status == "unproven"
    assert "a GPU that this machine lacks" in check.said


def test_memory_and_disk_beyond_80_percent_fail() -> None:
    seen = performance(watched=Watched(peak_bytes=25 * 10**9), sizes={"cache": 17 * 10**9})
    _, memory, disk = project(seen, target()).checks()
    assert memory.status == disk.status == "failed"
    assert "25.20 of 30.0 GB" in memory.said
    assert "17.00 of 20.0 GB" in disk.said


def test_the_error_of_drawing_images_is_that_of_a_stratified_sample() -> None:
    """Syntaxes that take different times widen nothing; images of one syntax that do, widen."""

    def stage(decode: float) -> dict[str, float]:
        return {"read": 0.0, "decode": decode, "prepare": 0.0}

    halves = Mixture(
        syntaxes={str(n): (SYNTAX, OTHER)[n % 2] for n in range(100)},
        shares={SYNTAX: 0.5, OTHER: 0.5},
    )
    apart = {SYNTAX: [stage(0.09)] * 4, OTHER: [stage(0.01)] * 4}
    within = {name: [stage(0.09), stage(0.01)] * 2 for name in (SYNTAX, OTHER)}
    spans = []
    for stages in (apart, within):
        probed = dict(performance().probed or {}) | {"stages": stages}
        found = project(performance(probed=probed), target(), mixture=halves)
        spans.append(found.seconds_high / found.seconds_low)
    assert spans[0] < spans[1]


def test_what_the_sample_lacks_is_said() -> None:
    lacking = Mixture(syntaxes=MIXTURE.syntaxes, shares={SYNTAX: 0.6, OTHER: 0.4})
    found = project(performance(), target(), mixture=lacking)
    assert found.unseen == {OTHER: 0.4}
    assert (
        "40% of the images are JPEG Lossless SV1, and the sample has none" in found.checks()[0].said
    )


def test_awkward_images_alone_prove_no_time() -> None:
    check = project(performance(), target(), mixture=Mixture()).checks()[0]
    assert check.status == "unproven"
    assert "rests on the awkward images alone" in check.said


def test_phantoms_are_not_taken_for_real_images() -> None:
    sized = project(performance(), target(), phantoms=(2332, 3064), limit_seconds=130.0)
    (check, *_) = sized.checks()
    assert check.said.startswith("1000 phantoms of at most 2332×3064 take 60 s")
    assert "Real images have up to 2 times as many pixels" in check.said
    assert check.status == "unproven"  # twice that might be beyond the limit
    assert project(performance(), target(), limit_seconds=130.0).checks()[0].status == "passed"
