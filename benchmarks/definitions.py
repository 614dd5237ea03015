"""`python -m benchmarks definitions`: what the definition of a reduced image does to learning.

One phantom competition, drawn so large that its images are halved once or twice before they are
averaged; half of its scanners store JPEG 2000, half JPEG Lossless. One network is trained on it by
each version of the preprocessing, from the same seed. The interval of the difference comes from
drawing patients, the same ones for both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

PRESET = "roi-1024x512"  # of the experiment `phantom`, at 224×128
ROUNDS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Train with both definitions and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks definitions", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--prevalence", type=float, default=0.2)
    parser.add_argument("--contrast", type=float, default=0.3)
    parser.add_argument("--size", type=int, nargs=2, default=(900, 700), metavar=("H", "W"))
    parser.add_argument("--version", type=int, help=argparse.SUPPRESS)
    parser.add_argument("settings", nargs="*", help="of train.run: trainer.epochs=4")
    options = parser.parse_args(arguments)
    if options.version:
        train(options.version, options.settings)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(compare(Path(folder), options), indent=1))
    return 0


def compare(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Return PR-AUC by breast with version 1 and 2, and the difference, each with its interval."""
    from train.phantom import write_competition

    write_competition(
        folder / "competition",
        patients=options.patients,
        prevalence=options.prevalence,
        contrast=options.contrast,
        size=tuple(options.size),
        workers=2,
    )
    scores = {}
    for version in (1, 2):
        out = folder / f"version{version}" / "run"
        command = [sys.executable, "-m", "benchmarks", "definitions", f"--version={version}"]
        command += ["experiment=phantom", "tracking=none", f"data.dir={folder / 'competition'}"]
        subprocess.run([*command, f"out={out}", *options.settings], check=True)
        scores[version] = out / "oof.csv"
    return {"patients": options.patients, "size": list(options.size)} | judge(scores)


def train(version: int, settings: Sequence[str]) -> None:
    """Train as `python -m train.run` does, the preset made by a version of the preprocessing."""
    from inference.pixels.preprocess import PRESETS
    from train import run

    PRESETS[PRESET] = replace(PRESETS[PRESET], version=version)
    sys.argv[1:] = settings
    run.main()


def judge(scores: dict[int, Path]) -> dict[str, object]:
    """Return what the out-of-fold predictions of both versions are worth."""
    import pandas as pd

    from train.metrics import bootstrap, by_breast, pr_auc

    tables = {version: pd.read_csv(path) for version, path in scores.items()}
    breasts = {
        version: by_breast(table.prediction_id.tolist(), table.target, table.probability)
        for version, table in tables.items()
    }
    names, truth, first = breasts[1]
    assert breasts[2][0] == names
    assert np.array_equal(breasts[2][1], truth)
    patients = [name.partition("_")[0] for name in names]
    # The metric gets the row numbers, so that both versions are drawn alike.
    rows = np.arange(len(names), dtype=float)

    def difference(labels: object, drawn: object) -> float:
        chosen = np.asarray(drawn, int)
        return pr_auc(truth[chosen], breasts[2][2][chosen]) - pr_auc(truth[chosen], first[chosen])

    measured: dict[str, object] = {"breasts": len(names), "with cancer": int(truth.sum())}
    for version, (_, _, predictions) in breasts.items():
        interval = bootstrap(pr_auc, truth, predictions, groups=patients, rounds=ROUNDS)
        measured[f"PR-AUC, version {version}"] = [
            round(number, 3) for number in (interval.value, interval.low, interval.high)
        ]
    interval = bootstrap(difference, truth, rows, groups=patients, rounds=ROUNDS)
    measured["2 minus 1"] = [
        round(number, 3) for number in (interval.value, interval.low, interval.high)
    ]
    return measured


if __name__ == "__main__":
    sys.exit(main())
