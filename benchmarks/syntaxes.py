"""`python -m benchmarks syntaxes`: the same picture in each transfer syntax, as a model sees it.

Phantom mammograms, each written in every syntax, are prepared; the inputs are compared with those
of the uncompressed files of as many bits. Lossless syntaxes must not differ.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.decode import psnr
from benchmarks.encoders import ENCODERS, write
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig

SIZE = (2603, 2101)
PLAIN = "uncompressed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks syntaxes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--preset", choices=list(PRESETS), default="baseline-512")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2, help="of preprocessing")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    config = replace(PRESETS[options.preset], version=options.version)
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            name: compare(name, Path(folder), options.images, config)
            for name in ENCODERS
            if name != PLAIN
        }
    print(json.dumps(rows, indent=1) if options.as_json else table(rows))
    return 0


def compare(name: str, folder: Path, images: int, config: PreprocessConfig) -> dict[str, object]:
    """Return the largest and the mean difference in grey levels of 255, and the PSNR in dB."""
    bits = ENCODERS[name][2]
    pairs = []
    for seed in range(images):
        plain = write(PLAIN, folder / "plain.dcm", seed, SIZE, bits)
        other = write(name, folder / "other.dcm", seed, SIZE)
        pairs.append([load(path, [config]).inputs[0].astype(int) for path in (plain, other)])
    truth, found = (np.stack(some) for some in zip(*pairs, strict=True))
    differences = np.abs(truth - found)
    return {
        "largest": int(differences.max()),
        "mean": round(float(differences.mean()), 4),
        "psnr_db": psnr(found.astype(np.uint8), truth),
    }


def table(rows: dict[str, dict[str, object]]) -> str:
    """Return one line for each syntax."""
    lines = [f"{'against uncompressed':28}{'largest':>8}{'mean':>9}{'PSNR':>8}"]
    for name, row in rows.items():
        decibel = row["psnr_db"]
        quality = f"{decibel:8.1f}" if isinstance(decibel, float) else f"{'–':>8}"
        lines.append(f"{name:28}{row['largest']:>8}{row['mean']:>9}{quality}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
