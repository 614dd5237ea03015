"""The images that the benchmarks measure on where no folder is given: phantom mammograms.

Half JPEG 2000 lossless, half JPEG Lossless SV1, from 3518×2800 to 5355×4915 pixels, 12 bits, with
quantum noise that costs 5 to 9 bits per breast pixel. Of the JPEG Lossless half DCMTK encodes one
of two, where it is installed: its streams differ (a fill byte before the end, other tables). Drawn
once and kept in the user's cache.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import train.phantom
from train.phantom import JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1
from train.phantom.dicom import EXPLICIT_LITTLE_ENDIAN

VERSION = 2  # of what is drawn; another one, another folder
SIZES = ((3518, 2800), (4096, 3328), (4664, 3064), (5355, 4915))
SYNTAXES = (JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1)
DCMTK = "dcmcjpeg"


def corpus(seeds: int = 2) -> list[Path]:
    """Return the paths of the corpus's images, drawing those that are missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "rsna-bundle" / f"corpus-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder / f"{size[0]}x{size[1]}-{seed}-{syntax.rpartition('.')[2]}.dcm", seed, size, syntax)
        for size in SIZES
        for seed in range(seeds)
        for syntax in SYNTAXES
    ]
    missing = [job for job in jobs if not job[0].exists()]
    if missing:
        print(f"drawing {len(missing)} phantoms into {folder} …", file=sys.stderr, flush=True)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_draw, missing))
    return [job[0] for job in jobs]


def images_in(folder: Path | None) -> list[Path]:
    """Return the DICOM files below a folder, or the corpus."""
    if folder is None:
        return corpus()
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".dcm", ".dicom"))
    if not paths:
        raise SystemExit(f"{folder} holds no .dcm file.")
    return paths


def _draw(job: tuple[Path, int, tuple[int, int], str]) -> None:
    path, seed, size, syntax = job
    pixels = train.phantom.draw(seed, size)
    partial = path.with_suffix(".partial")
    if syntax == JPEG_LOSSLESS_SV1 and seed % 2 and shutil.which(DCMTK):
        native = path.with_suffix(".native")
        train.phantom.write_dicom(native, pixels, transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
        # Process 14, selection value 1: the competition's kind.
        subprocess.run([DCMTK, "--encode-lossless-sv1", native, partial], check=True)
        native.unlink()
    else:
        train.phantom.write_dicom(partial, pixels, transfer_syntax=syntax)
    partial.replace(path)
