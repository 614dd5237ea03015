"""The probe's input and results: what is measured in the sandbox, and what a projection gets of it.

The hidden test's images are a stratified sample: a machine stores its images in one transfer
syntax, and one takes several times as long to decode as another. So each syntax is a stratum.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bundler.competition.protocol import Measurement, Probe, Stratum
from bundler.competition.screening import probe
from bundler.competition.screening.awkward import USUAL
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.mixture import SYNTAXES
from bundler.competition.screening.probe import Probed, Rate, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pixels: TypeAlias = "npt.NDArray[np.uint8]"  # [H, W]

WORK = 4000  # images of steady work at most
REAL = 4664 * 3064  # pixels of a large mammogram
CUDA = "CUDAExecutionProvider"


def ask(hidden: HiddenSet, places: Mapping[str, str], out: str, seconds: float) -> Probe:
    """Return the probe of a hidden test; `places` and `out` are paths of the sandbox."""
    compared = [row["image_id"] for row in hidden.compared]
    spec = Spec(
        libs=places["libs"],
        model=places["model"],
        competition=places["competition"],
        out=out,
        compared=compared,
        work=hidden.mixture.order(WORK) or compared,
        small=[image.row["image_id"] for image in hidden.planted if image.case in USUAL],
        seconds=seconds,
    )
    return Probe(script=Path(str(probe.__file__)), input=json.dumps(asdict(spec)))


def read(folder: Path) -> Probed | None:
    """Read what the probe wrote; None where it did not come to its end."""
    try:
        content = json.loads((folder / probe.RESULT).read_text(encoding="utf-8"))
        return Probed(**content | {"rate": Rate(**content["rate"])})
    # The process may have been killed while it wrote.
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_inputs(folder: Path) -> list[Pixels]:
    """Return what the first model was shown of each compared image, in their order."""
    import numpy as np

    path = folder / probe.INPUTS
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def summarize(probed: Probed, hidden: HiddenSet) -> Measurement | None:
    """Return what a projection needs; None where no steady work was seen."""
    if not probed.rate.parts:
        return None
    size = hidden.phantom_size
    return Measurement(
        rows=f"phantoms of at most {size[0]}×{size[1]}" if size else "images",
        sample=len(hidden.mixture.syntaxes),
        rates=tuple(probed.rate.parts),
        strata=tuple(_strata(probed, hidden)),
        predict_seconds=probed.rate.predict_seconds,
        worker_bytes=probed.rate.worker_bytes,
        on_gpu=CUDA in probed.providers,
        scale=_scale(hidden),
        doubts=tuple(_doubts(hidden)),
    )


def _strata(probed: Probed, hidden: HiddenSet) -> Iterator[Stratum]:
    counts, weights = hidden.mixture.counts, hidden.mixture.weights
    # Without ordinary images the steady work was on awkward ones, of kinds without a share.
    for syntax, timed in probed.stages.items():
        yield Stratum(
            name=SYNTAXES.get(syntax, syntax),
            share=weights.get(syntax, 0.0),
            count=counts[syntax],
            seconds=tuple(timed),
        )


def _scale(hidden: HiddenSet) -> float:
    """Return how many times as many pixels a real image may have as a phantom."""
    if hidden.phantom_size is None:
        return 1.0
    height, width = hidden.phantom_size
    return max(REAL / (height * width), 1.0)


def _doubts(hidden: HiddenSet) -> Iterator[str]:
    if hidden.phantom_size and hidden.mixture.syntaxes:
        yield (
            f"Real images have up to {_scale(hidden):.0f} times as many pixels: --competition-dir "
            "measures on yours."
        )
    if not hidden.mixture.syntaxes:
        yield "It rests on the awkward images alone, which are small: raise --patients."
    for name, share in hidden.mixture.unseen.items():
        yield (
            f"{share:.0%} of the images are {SYNTAXES.get(name, name)}, and the sample has none: "
            "raise --patients."
        )
