"""What a projection gets of the probe's results, and what the sample cannot tell it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bundler.competition.screening import measurement, probe
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.mixture import Mixture
from bundler.competition.screening.probe import Probed, Rate

SYNTAX, OTHER = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70"
STAGE = {"read": 0.01, "decode": 0.08, "prepare": 0.01}
PROBED = Probed(
    origins=[],
    predictions={"1": 0.5},
    stages={SYNTAX: [STAGE, STAGE]},
    rate=Rate(parts=[0.1, 0.2], predict_seconds=0.05, worker_bytes=1000),
    providers=["CPUExecutionProvider"],
)


def hidden(mixture: Mixture, phantom_size: tuple[int, int] | None = None) -> HiddenSet:
    """Return a hidden test of nothing but a mixture of transfer syntaxes."""
    return HiddenSet(
        folder=Path("/nonexistent"),
        sample=(),
        planted=(),
        labels={},
        source="",
        mixture=mixture,
        phantom_size=phantom_size,
    )


EVEN = Mixture(syntaxes={str(n): SYNTAX for n in range(100)}, shares={SYNTAX: 1.0})


def test_what_the_probe_writes_is_read_back(tmp_path: Path) -> None:
    assert measurement.read(tmp_path) is None
    (tmp_path / probe.RESULT).write_text(json.dumps(asdict(PROBED)))
    assert measurement.read(tmp_path) == PROBED
    (tmp_path / probe.RESULT).write_text(json.dumps(asdict(PROBED))[:-9])  # killed meanwhile
    assert measurement.read(tmp_path) is None


def test_each_transfer_syntax_is_a_stratum() -> None:
    measured = measurement.summarize(PROBED, hidden(EVEN))
    assert measured is not None
    (stratum,) = measured.strata
    assert (stratum.name, stratum.share, stratum.count) == ("JPEG 2000 Lossless", 1.0, 100)
    assert stratum.seconds == (STAGE, STAGE)
    assert (measured.rows, measured.sample, measured.rates) == ("images", 100, (0.1, 0.2))
    assert not measured.on_gpu
    assert (measured.scale, measured.doubts) == (1.0, ())


def test_no_steady_work_is_no_measurement() -> None:
    rate = Rate(parts=[], predict_seconds=0.0, worker_bytes=0)
    probed = Probed(**{**vars(PROBED), "rate": rate})
    assert measurement.summarize(probed, hidden(EVEN)) is None


def test_what_the_sample_lacks_is_said() -> None:
    lacking = Mixture(syntaxes=EVEN.syntaxes, shares={SYNTAX: 0.6, OTHER: 0.4})
    measured = measurement.summarize(PROBED, hidden(lacking))
    assert measured is not None
    (doubt,) = measured.doubts
    assert "40% of the images are JPEG Lossless SV1, and the sample has none" in doubt


def test_awkward_images_alone_are_said_to_be_small() -> None:
    measured = measurement.summarize(PROBED, hidden(Mixture()))
    assert measured is not None
    assert measured.sample == 0
    assert "rests on the awkward images alone" in measured.doubts[0]
    assert measured.strata[0].share == 0.0


def test_phantoms_say_how_much_larger_real_images_are() -> None:
    measured = measurement.summarize(PROBED, hidden(EVEN, phantom_size=(2332, 3064)))
    assert measured is not None
    assert measured.rows == "phantoms of at most 2332×3064"
    assert measured.scale == pytest.approx(2.0)
    assert "Real images have up to 2 times as many pixels" in measured.doubts[0]
