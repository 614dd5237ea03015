"""`python -m benchmarks predict [DIR]`: the whole pipeline against its floor.

Decoding and a real timm model are first measured alone, as CPU seconds per image of one process;
the pipeline then runs over the images and its wall time is compared with the floor,
(decode + model core-seconds) / cores. Both are warm, as in a run of hours. `--images` repeats the
corpus by hard links. Decoding in threads is compared with decoding in processes, in turns.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import images_in
from benchmarks.decode import WARM_UP, warm_up
from inference import pipeline, predict
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from inference.submission import TestImage
from inference.workers import Task, Workers, load_all, peak_rss


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks predict", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", nargs="?", type=Path, help="DICOM files (default: a corpus)")
    parser.add_argument("--arch", default="efficientnet_b0")
    parser.add_argument("--preset", choices=list(PRESETS), default="baseline-512")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # whose memory is its own
            model = pool.apply(export, (options.arch, options.preset, Path(folder)))
        paths = link(images_in(options.folder), options.images, Path(folder))
        said = measure(paths, model, options)
    print(json.dumps(said, indent=2) if options.as_json else text(said))
    return 0


def export(arch: str, preset: str, folder: Path, folds: int = 1) -> Path:
    """Export folds with random weights by `rsna-bundle model`; return the ONNX file."""
    import torch

    from train.timm_import import timm

    weights = [folder / f"random{fold}.pt" for fold in range(folds)]
    for path in weights:
        network = timm.create_model(arch, pretrained=False, in_chans=1, num_classes=1)
        torch.save(network.state_dict(), path)
    said = {
        "arch": arch,
        "preset": preset,
        "mean": 0.5,
        "std": 0.25,
        "scale": "1/255",
        "in-chans": 1,
        "head": "sigmoid:0",
        "prevalence": 0.02,
        "threshold": 0.5,
        "out": folder / "model",
    }
    words = [word for key, value in said.items() for word in (f"--{key}", str(value))]
    words += [word for path in weights for word in ("--ckpt", str(path))]
    command = [sys.executable, "-m", "bundler.cli", "model", "--quiet", *words]
    subprocess.run(command, check=True)
    return next((folder / "model").glob("*.onnx"))


def link(sources: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """Return `count` paths, hard links of the sources in turn where that is possible."""
    images = folder / "images"
    images.mkdir()
    paths = []
    for number in range(count):
        source = sources[number % len(sources)]
        path = images / f"{number}.dcm"
        try:
            os.link(source, path)
        except OSError:  # another file system
            path.symlink_to(source)
        paths.append(path)
    return paths


def measure(paths: Sequence[Path], file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts alone, then the pipeline."""
    cores = len(os.sched_getaffinity(0))
    sample = paths[: min(len(paths), 32)]
    model = predict.open_model(file, options.device)
    images = [
        TestImage(image_id=path.stem, patient_id="1", prediction_id="1", path=path, columns={})
        for path in paths
    ]
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        Workers(options.workers) as workers,
    ):
        decode, prepared = pool.apply(_decode_alone, (sample, model.preprocess))
        alone = _model_alone(prepared, model)
        _warm(workers, model, sample)
        threads_to_processes = _take_turns(pool, workers, model, sample)
        start = time.perf_counter()
        settings = pipeline.Settings(batch_size=model.batch_size)
        outcome = pipeline.run(images, [[model]], workers, settings)
        wall = time.perf_counter() - start
    floor = len(paths) * (decode + alone) / cores
    return {
        "images": len(paths),
        "arch": options.arch,
        "preset": options.preset,
        "cores": cores,
        "workers": options.workers,
        "decode_core_seconds_per_image": decode,
        "model_core_seconds_per_image": alone,
        "floor_seconds": floor,
        "wall_seconds": wall,
        "wall_to_floor": wall / floor,
        "images_per_s": len(paths) / wall,
        "threads_to_processes": threads_to_processes,
        "failures": len(outcome.failures),
        "peak_rss_bytes_of_the_parent": peak_rss(),
        "peak_rss_bytes_of_a_worker": outcome.peak_rss_bytes,
        "peak_rss_bytes": peak_rss() + outcome.workers * outcome.peak_rss_bytes,
    }


def _decode_alone(paths: Sequence[Path], config: PreprocessConfig) -> tuple[float, np.ndarray]:
    warm_up(paths, config)
    start = time.process_time()
    prepared = [load(path, [config]).inputs[0] for path in paths]
    return (time.process_time() - start) / len(paths), np.stack(prepared)


def _model_alone(prepared: np.ndarray, model: predict.Model) -> float:
    size = model.batch_size
    model.predict(prepared[:size])
    start = time.process_time()
    for first in range(0, len(prepared), size):
        model.predict(prepared[first : first + size])
    return (time.process_time() - start) / len(prepared)


def _take_turns(pool: Pool, workers: Workers, model: predict.Model, paths: Sequence[Path]) -> float:
    """Return the median ratio of decoding in threads to decoding in processes."""
    given = (paths, model.preprocess, workers.count)
    return statistics.median(
        pool.apply(_decode_in_threads, given) / _decode_in_processes(paths, model, workers)
        for _ in range(5)
    )


def _decode_in_threads(paths: Sequence[Path], config: PreprocessConfig, count: int) -> float:
    """Return the wall seconds that `count` threads of one process take."""
    with ThreadPoolExecutor(count) as pool:
        start = time.perf_counter()
        list(pool.map(lambda path: load(path, [config]), paths))
        return time.perf_counter() - start


def _decode_in_processes(paths: Sequence[Path], model: predict.Model, workers: Workers) -> float:
    """Return the wall seconds that the runner's workers take."""
    start = time.perf_counter()
    assert len(list(load_all(workers, _tasks(paths, model)))) == len(paths)
    return time.perf_counter() - start


def _warm(workers: Workers, model: predict.Model, paths: Sequence[Path]) -> None:
    """Let the workers import and compile what they need, once for a run of hours."""
    many = itertools.islice(itertools.cycle(paths), WARM_UP * workers.count)
    list(load_all(workers, _tasks(many, model)))


def _tasks(paths: Iterable[Path], model: predict.Model) -> Iterator[Task]:
    for key, path in enumerate(paths):
        yield Task(key=key, path=path, configs=(model.preprocess,))


def text(said: dict[str, Any]) -> str:
    """Return the figures for people."""
    return (
        f"{said['arch']}, {said['preset']}, {said['images']} images, {said['workers']} workers on "
        f"{said['cores']} cores\n"
        f"decode {said['decode_core_seconds_per_image'] * 1e3:.0f} ms, model "
        f"{said['model_core_seconds_per_image'] * 1e3:.0f} ms of one core per image\n"
        f"wall {said['wall_seconds']:.1f} s, floor {said['floor_seconds']:.1f} s: "
        f"{said['wall_to_floor']:.2f} ×, {said['images_per_s']:.2f} images/s\n"
        f"decoding in threads takes {said['threads_to_processes']:.2f} × the time of processes\n"
        f"peak memory, all processes: {said['peak_rss_bytes'] / 1e6:.0f} MB"
    )
