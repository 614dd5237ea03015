"""Training's figures: does it learn, is the model ever waiting, what does preparing cost.

python -m benchmarks train learning    ROC-AUC by breast on phantoms, with and without lesions
python -m benchmarks train loader      images/s of the loader against the model's need
python -m benchmarks train prepare     train.prepare against decoding alone, one process each
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the first word names and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("figure", choices=["learning", "loader", "prepare"])
    parser.add_argument("--patients", type=int, default=400, help="of learning")
    parser.add_argument("--contrast", type=float, nargs="*", default=[0.5, 0.0], help="of learning")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measures: dict[str, Callable[[], object]] = {
            "learning": lambda: [
                learning(Path(folder), options.patients, contrast) for contrast in options.contrast
            ],
            "loader": lambda: loader(Path(folder)),
            "prepare": lambda: prepare(Path(folder)),
        }
        print(json.dumps(measures[options.figure](), indent=1))
    return 0


def learning(folder: Path, patients: int, contrast: float) -> dict[str, object]:
    """Train the phantom experiment on new patients; the seconds are of preparing and training."""
    from train.phantom import write_competition

    work = folder / f"contrast{contrast}"
    size = (256, 200)
    write_competition(
        work / "competition",
        patients=patients,
        prevalence=0.2,
        contrast=contrast,
        size=size,
        workers=2,
    )
    begun, used = time.monotonic(), _cpu_seconds()
    command = [sys.executable, "-m", "train.run", "experiment=phantom", "tracking=none"]
    command += [f"data.dir={work / 'competition'}", f"out={work / 'run'}"]
    subprocess.run(command, check=True)
    found = json.loads((work / "run" / "metrics.json").read_text())["mean"]
    interval = found["interval"]["roc_auc"]
    return {
        "contrast": contrast,
        "patients": patients,
        "breasts validated": found["breasts"],
        "roc_auc": round(interval["value"], 3),
        "interval": [round(interval["low"], 3), round(interval["high"], 3)],
        "seconds": round(time.monotonic() - begun, 1),
        "cpu_seconds": round(_cpu_seconds() - used, 1),
    }


def _cpu_seconds() -> float:
    """Return what the child processes have used: fairer than the clock on a shared machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loader(folder: Path) -> dict[str, object]:
    """Compare the loader alone, the model alone, and how busy the model is in training."""
    import torch
    from hydra import compose, initialize_config_module

    from train import augmentation, data, loop, model, sampling, settings, table
    from train.images import open_images
    from train.phantom import write_competition
    from train.processes import Processes

    write_competition(folder / "c", patients=48, prevalence=0.3, size=(640, 400), workers=2)
    with initialize_config_module("train.conf", version_base="1.3"):
        cfg = compose(
            "config",
            overrides=[
                "experiment=phantom",
                f"data.dir={folder / 'c'}",
                f"out={folder / 'run'}",
                "data.size=[512,256]",
            ],
        )
    torch.set_num_threads(1)
    processes = Processes("auto")
    rows = table.read(cfg.data.dir)
    cache = open_images(cfg, rows, processes).cache
    wishes = settings.plain(cfg.aug) | {"scale": tuple(cfg.aug.scale)}
    images = data.Images(rows, cache, augment=augmentation.Augmentation(**wishes).build())
    labels = rows.cancer.to_numpy()
    batches = sampling.plan(labels, batch=cfg.trainer.batch, epoch=0, seed=0)
    epochs = sampling.Epochs()
    kwargs = {"num_classes": 1, "in_chans": 1}
    net = model.build(cfg.model.arch, kwargs)
    run = loop.Fold(cfg, 0, model.Classifier(net, model.IMAGENET, 1), [], processes)
    load = data.loader(images, epochs, cfg.data.workers)

    rates: dict[str, list[float]] = {"loader": [], "model": [], "training": [], "busy": []}
    for _ in range(3):
        epochs.begin(batches)
        begun, seen = time.monotonic(), 0
        for item in load:
            seen += len(item.row)
        rates["loader"].append(seen / (time.monotonic() - begun))
        begun = time.monotonic()
        for _ in range(5):
            loop.take_step(run, [item])
        rates["model"].append(5 * len(item.row) / (time.monotonic() - begun))
        epochs.begin(batches)
        told = loop.train_epoch(run, load, len(batches), folder / "state")
        rates["training"].append(told["images_per_s"])
        rates["busy"].append(told["busy"])
    middle = {name: round(statistics.median(values), 3) for name, values in rates.items()}
    return {"arch": cfg.model.arch, "size": [512, 256], "images/s": middle}


def prepare(folder: Path) -> dict[str, object]:
    """Compare `train.prepare` with `inference.pixels.loading.load` alone on the same files."""
    from inference.pixels.loading import load
    from train import table
    from train.images import preprocess_config
    from train.phantom import write_competition
    from train.prepare import prepare as fill

    competition = folder / "c"
    write_competition(competition, patients=16, prevalence=0.2, size=(2800, 2200), workers=2)
    config = preprocess_config("roi-1024x512", None)
    rows = table.read(competition)
    paths = [
        table.image_path(competition, patient, image)
        for patient, image in zip(rows.patient_id, rows.image_id, strict=True)
    ]
    for path in paths:  # into the page cache, and the decoders loaded
        load(path, [config])
    alone, prepared = [], []
    for number in range(3):
        begun = time.process_time()
        for path in paths:
            load(path, [config])
        alone.append(len(paths) / (time.process_time() - begun))
        begun = time.process_time()
        fill(str(competition), str(folder / f"cache{number}"), config, quiet=True)
        prepared.append(len(paths) / (time.process_time() - begun))
    ratios = [ours / bare for ours, bare in zip(prepared, alone, strict=True)]
    return {
        "images": len(paths),
        "decoding alone, images per CPU second": round(statistics.median(alone), 2),
        "train.prepare, images per CPU second": round(statistics.median(prepared), 2),
        "ratio": round(statistics.median(ratios), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
