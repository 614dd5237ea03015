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
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add("--patients", type=int, default=24, metavar="N", help="in train.csv")
    add("--test-patients", type=int, default=0, metavar="M", help="in test.csv")
    add("--prevalence", type=float, default=0.02, metavar="P", help="share of sick breasts")
    add("--contrast", type=float, default=0.5, metavar="C", help="of a lesion; 0: invisible")
    size = (512, 400)
    add("--size", type=int, nargs=2, default=size, metavar=("H", "W"), help="of the largest image")
    add("--seed", type=int, default=0, metavar="N", help="equal seeds give equal files")
    cpus = os.cpu_count() or 1
    add("--workers", type=int, default=cpus, metavar="N", help="processes that draw")
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
