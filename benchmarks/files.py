"""`python -m benchmarks files`: a model bundle of 20,000 files and 10 GB, built and verified.

In one interleaved run: each round copies the folder by `cp`, hashes it by `sha256sum`, builds the
bundle, finds it unchanged, verifies it, restores it, and restores it again. Random bytes, so
that neither a file system nor a disk makes less of them.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.bundle import Built
from bundler.model import files
from bundler.model.files import FilesOptions
from inference.boot import bundle as bundles
from inference.boot import files as restored

LARGE = 40  # files that hold nearly all bytes
SMALL_BYTES = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks files", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="how many (%(default)s)")
    parser.add_argument("--bytes", type=float, default=10e9, help="of all of them (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (%(default)s)")
    parser.add_argument("--folder", type=Path, help="the disk to measure on (default: temporary)")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as name:
        root = Path(name)
        os.environ["RSNA_BUNDLE_CACHE"] = str(root / "cache")
        source = write(root / "model", options.files, int(options.bytes))
        measured = [measure(root, source) for _ in range(options.rounds)]
    rounds, (scratch, *_) = zip(*measured, strict=True)
    figures = {step: statistics.median(one[step] for one in rounds) for step in rounds[0]}
    size = int(options.bytes)
    if options.as_json:
        print(json.dumps({"seconds": figures, "scratch_bytes": scratch, "bytes": size}, indent=2))
        return 0
    print(f"{options.files} files, {size / 1e9:.1f} GB, median of {options.rounds} rounds")
    for step, seconds in figures.items():
        print(f"{step:28} {seconds:7.1f} s  {size / 1e6 / seconds:7.0f} MB/s")
    print(f"scratch on the notebook: {scratch / 1e6:.1f} MB")
    return 0


def write(folder: Path, count: int, size: int) -> Path:
    """Write a folder of `count` files: 40 large ones, the rest of 4 kB."""
    source = random.Random(0)
    small = max(0, count - LARGE)
    large = (size - small * SMALL_BYTES) // LARGE
    block = source.randbytes(8 << 20)
    for number in range(LARGE):
        path = folder / f"fold_{number % 5}" / f"weights_{number:02}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            left = large
            while left > 0:
                # Another start each time, so that no two blocks are equal.
                stream.write(source.randbytes(64))
                stream.write(block[: max(0, min(left - 64, len(block)))])
                left -= 64 + len(block)
            stream.truncate(large)
    for number in range(small):
        path = folder / f"cases_{number % 100:02}" / f"{number:05}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.randbytes(SMALL_BYTES))
    return folder


def measure(root: Path, source: Path) -> tuple[dict[str, float], int]:
    """Return the seconds of each step, the yardsticks between them, and the bytes of scratch."""
    place, scratch = root / "dist", root / "scratch"

    def build() -> Built:
        return files.build(FilesOptions(paths=(source,), out=place))

    hashing = f"find {source} -type f -print0 | xargs -0 sha256sum > {root / 'sums'}"
    seconds = {
        "cp -r": timed(lambda: run(["cp", "-r", str(source), str(root / "copy")])),
    }
    shutil.rmtree(root / "copy")
    seconds["build"] = timed(build)
    seconds["sha256sum, one process"] = timed(lambda: run(["bash", "-c", hashing]))
    seconds["build again, unchanged"] = timed(build)
    seconds["verify"] = timed(lambda: bundles.verify(place))
    made = bundles.read(place)
    seconds["verify and restore"] = timed(lambda: restored.restore(made, scratch))
    seconds["verify what was restored"] = timed(lambda: restored.restore(made, scratch))
    held = disk_bytes(scratch)
    shutil.rmtree(place)
    shutil.rmtree(scratch)
    return seconds, held


def disk_bytes(folder: Path) -> int:
    """Return what the files in a folder take of its disk; a link counts as itself."""
    paths = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_blocks * 512 for path in paths)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds that a step takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def run(command: Sequence[str]) -> None:
    """Run a yardstick."""
    subprocess.run(command, check=True)
