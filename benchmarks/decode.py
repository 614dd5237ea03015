"""`python -m benchmarks decode`: from a file to a uint8 input, against the usual ways.

(a) pydicom and (b) dicomsdl, each followed by what the competition's first baselines did: minimum
and maximum in float over the full image, uint8, bilinear `cv2.resize`; (c) this project. Each
image goes through all three in turn, so that a machine that slows down slows all. It is a long
run that is measured: before it, so many images are decoded that a compiled decoder has taken over.
Speeds are images per second of CPU time of one core; PSNR compares with the full decode, averaged
by area.
"""

import argparse
import io
import itertools
import json
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import dicomsdl
import numpy as np
import pydicom

from benchmarks.corpus import images_in
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from inference.pixels.proven import WORTH_AFTER
from inference.workers import peak_rss

METHODS = ("pydicom", "dicomsdl", "ours")
HIDDEN_IMAGES = 32_000
WARM_UP = 3 * WORTH_AFTER  # half of the corpus is JPEG Lossless
Input = np.ndarray  # uint8 [H, W]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table, or JSON."""
    options = _parse(arguments)
    config = PRESETS[options.preset]
    if options.size:
        config = replace(config, size=tuple(options.size))
    config = replace(config, decode_margin=options.margin, version=options.version)
    cv2.setNumThreads(1)
    paths = images_in(options.reference)
    warm_up(paths, config)
    measured = [measure(path, config, options.repeat, options.throttle) for path in paths]
    said = summarise(measured, peak_memory(paths, config))
    said["settings"] = {
        "images": len(paths),
        "preset": options.preset,
        "size": list(config.size),
        "margin": config.decode_margin,
        "version": config.version,
        "throttle_mb_per_s": options.throttle,
    }
    print(json.dumps(said, indent=2) if options.as_json else table(said))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks decode", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FOLDER",
        help="DICOM files of your own (default: phantoms, drawn once)",
    )
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument("--preset", choices=list(PRESETS), default="baseline-512")
    parser.add_argument("--margin", type=float, default=1.0, help="PreprocessConfig.decode_margin")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2, help="of preprocessing")
    parser.add_argument("--repeat", type=int, default=3, help="runs per image; the median counts")
    parser.add_argument("--throttle", type=float, metavar="MB/S", help="read no faster; wall time")
    parser.add_argument("--json", action="store_true", dest="as_json")
    return parser.parse_args(arguments)


# --- the three ways ---


def baseline(pixels: np.ndarray, inverted: bool, size: tuple[int, int]) -> Input:
    """Do what the first baselines did after the decode; `size` is (H, W)."""
    values = pixels - pixels.min()
    values = values / values.max()
    if inverted:
        values = 1 - values
    image = (values * 255).astype(np.uint8)
    return cv2.resize(image, (size[1], size[0]))


def by_pydicom(file: Path | io.BytesIO, config: PreprocessConfig) -> Input:
    """(a)"""
    dataset = pydicom.dcmread(file)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return baseline(dataset.pixel_array, inverted, config.size)


def by_dicomsdl(file: Path | io.BytesIO, config: PreprocessConfig) -> Input:
    """(b)"""
    if isinstance(file, Path):
        dataset = dicomsdl.open(str(file))
    else:
        dataset = dicomsdl.open_memory(file.getvalue())
    inverted = dataset.getPixelDataInfo()["PhotometricInterpretation"] == "MONOCHROME1"
    return baseline(dataset.pixelData(storedvalue=True), inverted, config.size)


def by_ours(file: Path | io.BytesIO, config: PreprocessConfig) -> Input:
    """(c)"""
    return load(file, [config]).inputs[0]


WAYS: dict[str, Callable[..., Input]] = {
    "pydicom": by_pydicom,
    "dicomsdl": by_dicomsdl,
    "ours": by_ours,
}


def reference(path: Path, config: PreprocessConfig) -> np.ndarray:
    """Return the full decode averaged by area, float64 [H, W] from 0 to 255."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.astype(np.float64)
    values = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = 1 - values
    return cv2.resize(values, config.size[::-1], interpolation=cv2.INTER_AREA) * 255


def psnr(image: Input, truth: np.ndarray) -> float | None:
    """Return 10 log10(255² / mean squared error) in dB; None where they are identical."""
    error = float(np.mean((image.astype(np.float64) - truth) ** 2))
    return None if error == 0 else 10 * float(np.log10(255**2 / error))


# --- measuring ---


class Throttled(io.RawIOBase):
    """A file that gives its bytes no faster than `rate` bytes per second, as mounts do."""

    def __init__(self, path: Path, rate: float) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._rate = rate
        self.name = str(path)

    def readinto(self, buffer: Any) -> int:
        """Read, then wait as long as that many bytes take."""
        count = self._file.readinto(buffer) or 0
        time.sleep(count / self._rate)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move without a cost."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()


def warm_up(paths: Sequence[Path], config: PreprocessConfig) -> None:
    """Decode as many images as a decoder may wait for before it is compiled."""
    for path in itertools.islice(itertools.cycle(sorted(paths, key=file_size)), WARM_UP):
        load(path, [config])


def file_size(path: Path) -> int:
    """Return bytes."""
    return path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One image: seconds by method (median), PSNR by method, share of its bytes that was read."""

    syntax: str
    seconds: dict[str, float] = field(default_factory=dict)
    psnr: dict[str, float | None] = field(default_factory=dict)
    bytes_read_fraction: float = 0.0


def measure(path: Path, config: PreprocessConfig, repeat: int, throttle: float | None) -> Measured:
    """Take one image through the three ways, in turn, `repeat` times."""
    runs: dict[str, list[float]] = defaultdict(list)
    images: dict[str, Input] = {}
    for _ in range(repeat):
        for name in METHODS:
            seconds, images[name] = _time(WAYS[name], path, config, throttle)
            runs[name].append(seconds)
    loaded = load(path, [config])
    compared: dict[str, float | None] = {}
    if config.fit == "stretch" and config.crop == "none":
        truth = reference(path, config)
        compared = {name: psnr(images[name], truth) for name in METHODS}
    return Measured(
        syntax=loaded.transfer_syntax,
        seconds={name: statistics.median(values) for name, values in runs.items()},
        psnr=compared,
        bytes_read_fraction=loaded.bytes_read / path.stat().st_size,
    )


def _time(
    way: Callable[..., Input], path: Path, config: PreprocessConfig, throttle: float | None
) -> tuple[float, Input]:
    if throttle is None:
        start = time.process_time()
        image = way(path, config)
        return time.process_time() - start, image
    start = time.perf_counter()
    with Throttled(path, throttle * 1e6) as file:
        # The others read whole files; ours takes what it needs.
        image = way(file if way is by_ours else io.BytesIO(file.read()), config)
    return time.perf_counter() - start, image


def peak_memory(paths: Sequence[Path], config: PreprocessConfig) -> dict[str, int]:
    """Return the peak resident bytes of a fresh process by method, over the largest images."""
    largest = sorted(paths, key=file_size)[-2:]
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for name in METHODS:
        with context.Pool(1) as pool:
            peaks[name] = pool.apply(_peak, (name, largest, config))
    return peaks


def _peak(name: str, paths: Sequence[Path], config: PreprocessConfig) -> int:
    if WAYS[name] is by_ours:
        warm_up(paths, config)
    for path in paths:
        WAYS[name](path, config)
    return peak_rss()


# --- saying ---


def summarise(measured: Sequence[Measured], peaks: dict[str, int]) -> dict[str, Any]:
    """Return the figures overall and by transfer syntax."""
    by_syntax: dict[str, list[Measured]] = defaultdict(list)
    for one in measured:
        by_syntax[one.syntax].append(one)
    return {
        "overall": _figures(measured),
        "by_transfer_syntax": {uid: _figures(some) for uid, some in sorted(by_syntax.items())},
        "peak_rss_bytes": peaks,
    }


def _figures(measured: Sequence[Measured]) -> dict[str, Any]:
    rates = {name: len(measured) / sum(one.seconds[name] for one in measured) for name in METHODS}
    return {
        "images": len(measured),
        "images_per_s": rates,
        "ratio_to": {name: rates["ours"] / rates[name] for name in METHODS[:2]},
        "psnr_db": {name: _mean_psnr(measured, name) for name in METHODS[1:]},
        "bytes_read_fraction": statistics.fmean(one.bytes_read_fraction for one in measured),
        "hours_for_32000": {
            f"{cores} cores": HIDDEN_IMAGES / rates["ours"] / cores / 3600 for cores in (2, 4)
        },
    }


def _mean_psnr(measured: Sequence[Measured], name: str) -> float | None:
    values = [value for one in measured if (value := one.psnr.get(name)) is not None]
    return statistics.fmean(values) if values else None


def table(said: dict[str, Any]) -> str:
    """Return the figures for people."""
    setting = said["settings"]
    unit = "wall" if setting["throttle_mb_per_s"] else "CPU"
    lines = [
        f"{setting['preset']} at {setting['size'][0]}×{setting['size'][1]}, margin "
        f"{setting['margin']:g}, version {setting['version']}, {setting['images']} images; "
        f"images per second of {unit} time",
        f"{'':28}{'(a) pydicom':>12}{'(b) dicomsdl':>13}{'(c) ours':>10}{'c/a':>7}{'c/b':>7}"
        f"{'PSNR b':>8}{'PSNR c':>8}{'read':>7}{'h@2':>7}{'h@4':>7}",
    ]
    rows = {"overall": said["overall"], **said["by_transfer_syntax"]}
    for name, row in rows.items():
        rates, ratios, quality = row["images_per_s"], row["ratio_to"], row["psnr_db"]
        hours = row["hours_for_32000"]
        lines.append(
            f"{name:28}{rates['pydicom']:12.2f}{rates['dicomsdl']:13.2f}{rates['ours']:10.2f}"
            f"{ratios['pydicom']:7.1f}{ratios['dicomsdl']:7.1f}"
            f"{_decibel(quality['dicomsdl'])}{_decibel(quality['ours'])}"
            f"{row['bytes_read_fraction']:7.1%}{hours['2 cores']:7.2f}{hours['4 cores']:7.2f}"
        )
    peaks = ", ".join(
        f"{name} {peak / 1e6:.0f} MB" for name, peak in said["peak_rss_bytes"].items()
    )
    return "\n".join([*lines, f"peak memory of a process: {peaks}"])


def _decibel(value: float | None) -> str:
    return f"{'–':>8}" if value is None else f"{value:8.2f}"
