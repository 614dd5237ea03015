"""`python -m benchmarks damage`: of damaged files that still decode, how many are noticed.

Each file is a phantom mammogram in some transfer syntax whose compressed stream is damaged in one
place: a sector zeroed, everything behind it zeroed but for the end marker, a sector missing, a
sector overwritten, one bit flipped. What leaves the model's input as it was is no damage. The rest
is refused, named suspicious, or not noticed; and the sound files must not be suspicious.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from benchmarks.encoders import ENCODERS, write
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from train.phantom.dicom import EXPLICIT_LITTLE_ENDIAN

SECTOR = 512
# A fourth of the pictures' sides, so that of a JPEG 2000 file only the head is read.
CONFIG = replace(PRESETS["baseline-512"], size=(224, 224))
MOST_STRIKES = 30  # for each damage that is wanted; most of a JPEG 2000 file is never read


def zeroed_sector(data: bytearray, at: int, rng: random.Random) -> None:
    start = at // SECTOR * SECTOR
    data[start : start + SECTOR] = bytes(SECTOR)


def zeroed_tail(data: bytearray, at: int, rng: random.Random) -> None:
    data[at:-2] = bytes(len(data) - 2 - at)


def hole(data: bytearray, at: int, rng: random.Random) -> None:
    del data[at : at + SECTOR]


def overwritten(data: bytearray, at: int, rng: random.Random) -> None:
    data[at : at + SECTOR] = rng.randbytes(SECTOR)


def flipped_bit(data: bytearray, at: int, rng: random.Random) -> None:
    data[at] ^= 1 << rng.randrange(8)


DAMAGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    zeroed_sector,
    zeroed_tail,
    hole,
    overwritten,
    flipped_bit,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Damage, load, and print how much was noticed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks damage", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--each", type=int, default=50, help="of each damage and syntax")
    parser.add_argument("--syntax", choices=list(ENCODERS), nargs="*", default=list(ENCODERS))
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            name: measure(name, Path(folder), options.each, CONFIG) for name in options.syntax
        }
    print(json.dumps(measured, indent=1) if options.as_json else table(measured))
    return 0


def measure(name: str, folder: Path, each: int, config: PreprocessConfig) -> dict[str, object]:
    """Return, by damage, what became of `each` files of one syntax."""
    seeds = [write(name, folder / f"{name}-{seed}.dcm".replace(" ", "-"), seed) for seed in (0, 1)]
    sound = [load(path, [config]) for path in seeds]
    outcomes: dict[str, object] = {
        "sound, called suspicious": sum(bool(s.suspicious) for s in sound)
    }
    for damage in DAMAGES:
        rng = random.Random(f"{name}-{damage.__name__}")
        counts: Counter[str] = Counter()
        for strike in range(each * MOST_STRIKES):
            if counts.total() - counts["harmless"] == each:
                break
            path, truth = seeds[strike % 2], sound[strike % 2].inputs[0]
            counts[strike_once(path, damage, rng, truth, config)] += 1
        outcomes[damage.__name__.replace("_", " ")] = dict(counts)
    return outcomes


def strike_once(
    path: Path,
    damage: Callable[[bytearray, int, random.Random], None],
    rng: random.Random,
    truth: np.ndarray,
    config: PreprocessConfig,
) -> str:
    """Damage the stream of a file once and return what became of it."""
    dataset = pydicom.dcmread(path)
    native = dataset.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE_ENDIAN
    frame = bytearray(stream_of(dataset))
    damage(frame, rng.randrange(1000, len(frame) - 2 * SECTOR), rng)
    dataset.PixelData = bytes(frame) if native else encapsulate([bytes(frame)])
    struck = path.with_suffix(".struck")
    dataset.save_as(struck, enforce_file_format=True)
    try:
        loaded = load(struck, [config])
    except ImageError:
        return "refused"
    same = np.array_equal(loaded.inputs[0], truth)
    if loaded.suspicious:
        return "suspicious, harmless" if same else "suspicious"
    return "harmless" if same else "unnoticed"


def stream_of(dataset: pydicom.Dataset) -> bytes:
    """Return the one frame's bytes."""
    if dataset.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE_ENDIAN:
        return bytes(dataset.PixelData)
    return next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))


# --- saying ---


def table(measured: dict[str, dict[str, object]]) -> str:
    """Return one row for each syntax: unnoticed of damaged."""
    names = [damage.__name__.replace("_", " ") for damage in DAMAGES]
    lines = [f"{'unnoticed of damaged':28}" + "".join(f"{name:>16}" for name in names)]
    for syntax, outcomes in measured.items():
        cells = []
        for name in names:
            counts = outcomes[name]
            assert isinstance(counts, dict)
            damaged = sum(counts.values()) - counts.get("harmless", 0)
            damaged -= counts.get("suspicious, harmless", 0)
            cells.append(f"{counts.get('unnoticed', 0)} of {damaged}")
        sound = outcomes["sound, called suspicious"]
        lines.append(f"{syntax:28}" + "".join(f"{cell:>16}" for cell in cells) + f"  {sound}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
