"""The command line: ``python -m train.phantom --out DIR``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import train.phantom


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a competition folder as the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m train.phantom", description=train.phantom.__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--patients", type=int, default=24, metavar="N")
    parser.add_argument("--test-patients", type=int, default=0, metavar="M")
    parser.add_argument("--prevalence", type=float, default=0.02, metavar="P")
    parser.add_argument("--contrast", type=float, default=0.5, metavar="C")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 400), metavar=("H", "W"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    written = train.phantom.write_competition(
        options.out,
        patients=options.patients,
        test_patients=options.test_patients,
        prevalence=options.prevalence,
        contrast=options.contrast,
        size=tuple(options.size),
        seed=options.seed,
        workers=options.workers,
    )
    print(
        f"{written.folder}: {len(written.train)} breasts to learn from, "
        f"{sum(written.train.values())} of them sick; {len(written.test)} to predict"
    )


if __name__ == "__main__":
    main()
