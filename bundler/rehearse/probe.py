"""Measure, after the notebook, in its room: where modules come from, numbers, seconds an image.

`python probe.py JSON` with the notebook's Python; the runner is the one that the notebook
unpacked, the packages are those that it installed.
"""

import glob
import importlib.metadata
import itertools
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

FEWEST = 48  # images of steady work
WARMING = 12  # images before it: the workers import what they need
MOST = 4000
EACH_SYNTAX = 8  # images whose stages are timed one by one
PARTS = 4  # of the steady work, whose differences tell how sure the rate is


def main(arguments: list[str]) -> None:
    """Write probed.json and inputs.npz into the folder that the JSON names."""
    spec = json.loads(arguments[0])
    (code,) = glob.glob("/tmp/rsna-bundle-*/code")
    sys.path.insert(0, code)
    os.environ["PYTHONPATH"] = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
    from inference.boot import bundle as bundles
    from inference.boot import install

    libs = bundles.read(spec["libs"])
    site = Path(code).parent / f"site-{libs.id[:16]}"
    install.activate(site)
    probed: dict[str, Any] = {"origins": origins(libs.details["lock"], site)}
    probed |= measure(spec)
    (Path(spec["out"]) / "probed.json").write_text(json.dumps(probed), encoding="utf-8")


def origins(lock: list[str], site: Path) -> list[str]:
    """Return which modules of the locked wheels come from elsewhere than the bundle."""
    wrong = []
    for line in lock:
        name, _, version = line.split()[0].partition("==")
        if Path(name).suffix:
            continue
        found = importlib.metadata.version(name)
        if found != version:
            wrong.append(f"{name} {version} is locked, {found} is what Python sees")
        for module in _modules(name):
            file = getattr(sys.modules.get(module), "__file__", None) or _find(module)
            if file and not Path(file).is_relative_to(site):
                wrong.append(f"the module {module} of {name} {version} is taken from {file}")
    return wrong


def _modules(name: str) -> list[str]:
    files = importlib.metadata.files(name) or []
    tops = {file.parts[0] for file in files if file.suffix == ".py" and len(file.parts) == 2}
    return sorted(
        top for top in tops if top.isidentifier() and f"{top}/__init__.py" in map(str, files)
    )


def _find(module: str) -> str | None:
    import importlib.util

    spec = importlib.util.find_spec(module)
    return spec.origin if spec else None


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of some images, their stages' seconds, and the rate of steady work."""
    import numpy as np

    from inference import metadata, pipeline, predict, submission, workers
    from inference.boot import bundle as bundles
    from inference.pixels.loading import load

    bundle = bundles.read(spec["model"])
    replicas = predict.load(bundle, "auto")
    models = replicas[0]
    images = {image.image_id: image for image in submission.read_test(Path(spec["competition"]))}
    numbers, inputs, loads = {}, [], []
    stages: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for name in spec["images"]:
        loaded = load(images[name].path, [model.preprocess for model in models])
        if len(stages[loaded.transfer_syntax]) < EACH_SYNTAX:
            again = load(images[name].path, [model.preprocess for model in models])
            stages[loaded.transfer_syntax].append(again.seconds)
            if name in spec["sample"] or not spec["sample"]:
                loads.append(sum(again.seconds.values()))
        answers = []
        for model, pixels in zip(models, loaded.inputs, strict=True):
            told = metadata.encode(images[name].columns, model.metadata_columns)
            answers.append(float(model.predict(pixels[None], told[None])[0]))
        numbers[name] = sum(answers) / len(answers)
        inputs.append(loaded.inputs[0])
    if inputs:
        np.savez_compressed(Path(spec["out"]) / "inputs.npz", *inputs)
    chosen = [images[name] for name in spec["sample"] or spec["images"]]
    with workers.Workers(workers.default_count()) as decoding:

        def run(count: int) -> tuple[list[tuple[float, int]], Any]:
            """Take so many images; return (seconds, images done) as they come."""
            seen: list[tuple[float, int]] = []
            start = time.perf_counter()
            many = [chosen[number % len(chosen)] for number in range(count)]
            outcome = pipeline.run(
                many,
                replicas,
                decoding,
                batch_size=models[0].batch_size,
                progress=lambda now: seen.append((time.perf_counter() - start, now.done)),
            )
            return seen, outcome

        first, outcome = run(WARMING)
        middle = len(first) // 2
        guess = (first[-1][0] - first[middle][0]) / max(first[-1][1] - first[middle][1], 1)
        count = int(min(MOST, max(FEWEST, spec["seconds"] / max(guess, 1e-4))))
        seen, outcome = run(count)
    return {
        "numbers": numbers,
        "stages": stages,
        "loads": loads,
        "rates": rates(seen),
        "predict_seconds_per_image": outcome.seconds["predict"] / count,
        "workers": outcome.workers,
        "worker_bytes": outcome.peak_rss_bytes,
        "main_bytes": workers.peak_rss(),
        "providers": list(models[0].providers),
        "images": count,
    }


def rates(seen: list[tuple[float, int]]) -> list[float]:
    """Return the seconds per image in each part of the steady work."""
    steady = [point for point in seen if point[1] > 0] or seen
    edges = [round(number * (len(steady) - 1) / PARTS) for number in range(PARTS + 1)]
    found = []
    for one, other in itertools.pairwise(edges):
        images = steady[other][1] - steady[one][1]
        if images > 0:
            found.append((steady[other][0] - steady[one][0]) / images)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
