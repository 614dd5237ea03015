"""`python -m benchmarks run [DIR]`: the whole runner, from test.csv to submission.csv.

A competition of as many images as the hidden test has is written by hard links to the corpus (or to
the files of DIR), half of it JPEG 2000 and half JPEG Lossless, four images a patient; then
`python -m inference.run` runs as the notebook's cell starts it. The network is a small one: what is
measured is everything else. Hard links leave the files in the page cache, so that a slow disk is
not in the figure.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.corpus import images_in
from benchmarks.predict import export

SLUG = "rsna-breast-cancer-detection"
VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
COLUMNS = ("site_id", "patient_id", "image_id", "laterality", "view", "age", "implant")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", nargs="?", type=Path, help="DICOM files (default: a corpus)")
    parser.add_argument("--images", type=int, default=32_000)
    parser.add_argument("--arch", default="test_efficientnet")
    parser.add_argument("--preset", default="baseline-512")
    parser.add_argument("--dist", type=Path, default=Path("dist/demo"), help="with libs and code")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        datasets = folder / "input" / "datasets" / "owner"
        datasets.mkdir(parents=True)
        for kind in ("libs", "code"):
            (datasets / kind).symlink_to((options.dist / kind).resolve())
        with get_context("spawn").Pool(1) as pool:  # whose memory is its own
            pool.apply(export, (options.arch, options.preset, datasets))
        write_test(folder / "input" / "competitions" / SLUG, images_in(options.folder), options)
        figures = measure(folder)
    print(json.dumps(figures, indent=2) if options.as_json else summary(figures))
    return 0


def write_test(folder: Path, sources: Sequence[Path], options: argparse.Namespace) -> None:
    """Write test.csv and its images, hard links of the sources in turn."""
    with_prediction = [*COLUMNS, "prediction_id"]
    folder.mkdir(parents=True)
    with (folder / "test.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(with_prediction)
        for number in range(options.images):
            patient, (laterality, view) = 10_000 + number // 4, VIEWS[number % 4]
            row = [1, patient, number, laterality, view, 50, 0, f"{patient}_{laterality}"]
            table.writerow(row)
            image = folder / "test_images" / str(patient) / f"{number}.dcm"
            image.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(sources[number % len(sources)], image)
            except OSError:  # another file system
                image.symlink_to(sources[number % len(sources)])


def measure(folder: Path) -> dict[str, Any]:
    """Run the runner; return what it took and what submission.json says."""
    output = folder / "working" / "submission.csv"
    output.parent.mkdir()
    command = [sys.executable, "-m", "inference.run", "--input", folder / "input"]
    command += ["--output", output, "--scratch", folder / "scratch"]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds, after = time.perf_counter() - start, os.times()
    report = json.loads(output.with_suffix(".json").read_text())
    cpu = after.children_user + after.children_system
    return {
        "seconds": seconds,
        "cpu_seconds": cpu - before.children_user - before.children_system,
        "cores": len(os.sched_getaffinity(0)),
        "rows": sum(1 for _ in output.open()) - 1,
        "submission": report,
    }


def summary(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    return (
        f"{figures['rows']} rows in {figures['seconds'] / 60:.1f} minutes on {figures['cores']} "
        f"cores, {figures['cpu_seconds'] / 60:.1f} core-minutes"
    )
