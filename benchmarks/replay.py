"""`python -m benchmarks replay [ARCH …]`: the golden cases at the start of a submission.

A bundle of merged folds with random weights is exported by `rsna-bundle model`, opened as the
runner opens it on the CPU, and its golden cases are replayed once, cold, in a process of its own.
Beside it what one image costs: a submission that can end in time takes at most a second for it.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.predict import export
from inference.pixels.preprocess import PRESETS

ARCHITECTURES = ("efficientnet_b0", "tf_efficientnetv2_s", "seresnext50_32x4d", "convnext_small")
LIMIT = 5.0  # seconds
Made = TypeVar("Made")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures; 1 where a replay takes too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES, metavar="ARCH")
    parser.add_argument("--preset", choices=list(PRESETS), default="baseline-512")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for arch in options.architectures:
        with tempfile.TemporaryDirectory() as folder:
            model = in_own_process(export, arch, options.preset, Path(folder), options.folds)
            rows.append(in_own_process(replay, arch, model.parent))
        if not options.as_json:
            print(text(rows[-1]), flush=True)
    if options.as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    return int(any(row.seconds > LIMIT for row in rows))


@dataclass(frozen=True, kw_only=True)
class Row:
    """An architecture's replay: how long it takes, of how many images, and one image alone."""

    arch: str
    seconds: float
    dicoms: int
    images: int
    seconds_per_image: float


def in_own_process(run: Callable[..., Made], *arguments: object) -> Made:
    """Return what a function returns in a process of its own."""
    # A process of multiprocessing.Pool may not have decoding processes of its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run, *arguments).result()


def replay(arch: str, folder: Path) -> Row:
    """Return the seconds of a bundle's replay, and of one image by all its models after it."""
    from inference import golden, predict
    from inference.boot import bundle
    from inference.workers import Workers, default_count

    opened = bundle.read(folder)
    (models,) = predict.load(opened, "cpu")
    with Workers(default_count()) as decoding:
        start = time.perf_counter()
        golden.replay(opened, models, decoding)
        seconds = time.perf_counter() - start
    start = time.perf_counter()
    for model in models:
        model.predict(np.zeros((1, *model.preprocess.size), dtype=np.uint8))
    return Row(
        arch=arch,
        seconds=seconds,
        dicoms=len(opened.model.golden.dicoms),
        images=sum(one.golden_images for one in opened.model.models),
        seconds_per_image=time.perf_counter() - start,
    )


def text(row: Row) -> str:
    """Return an architecture's figures as a line."""
    return (
        f"{row.arch:24} replay {row.seconds:.1f} s ({row.dicoms} DICOM files and {row.images} "
        f"prepared; at most {LIMIT:g} s); one image {row.seconds_per_image:.2f} s"
    )
