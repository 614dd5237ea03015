"""Measure, after the notebook, in its room: where modules come from, numbers, seconds an image.

`python probe.py MEASURE.json` with the notebook's Python; the runner is the one that the notebook
unpacked, the packages are those that it installed.
"""

import glob
import importlib.metadata
import itertools
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FEWEST = 48  # images of steady work, unless they take too long
MOST_SECONDS = 40.0  # of it
SETTLING = 60  # times that a worker loads each small image before it
WARMING = 12  # images before it, through the whole pipeline
TIMED = 24  # images whose stages are timed one by one
PARTS = 4  # of the steady work, whose differences tell how sure the rate is


def main(arguments: list[str]) -> None:
    """Write probed.json and inputs.npz into the folder that the file names."""
    spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    (code,) = glob.glob(f"{tempfile.gettempdir()}/rsna-bundle-*/code")
    sys.path.insert(0, code)
    os.environ["PYTHONPATH"] = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
    from inference.boot import bundle as bundles
    from inference.boot import install

    libs = bundles.read(spec["libs"])
    site = Path(code).parent / f"site-{libs.id[:16]}"
    install.activate(site)
    probed: dict[str, Any] = {"origins": origins(install.fitting(libs.libs).lock, site)}
    probed |= measure(spec)
    (Path(spec["out"]) / "probed.json").write_text(json.dumps(probed), encoding="utf-8")


def origins(lock: Iterable[str], site: Path) -> list[str]:
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

    from inference import predict, submission, workers
    from inference.boot import bundle as bundles

    replicas = predict.load(bundles.read(spec["model"]), "auto")
    images = {image.image_id: image for image in submission.read_test(Path(spec["competition"]))}
    numbers, inputs = answer([images[name] for name in spec["images"]], replicas[0])
    if inputs:
        np.savez_compressed(Path(spec["out"]) / "inputs.npz", *inputs)
    work = [images[name] for name in spec["work"]]
    return {
        "numbers": numbers,
        "stages": time_stages(work, replicas[0]),
        **steady(work, [images[name] for name in spec["small"]], replicas, spec["seconds"]),
        "main_bytes": workers.peak_rss(),
        "providers": list(replicas[0][0].providers),
    }


def answer(images: list[Any], models: list[Any]) -> tuple[dict[str, float], list[Any]]:
    """Return each image's probability, and what the first model was shown, uint8 [H, W]."""
    from inference import metadata
    from inference.pixels.loading import load

    numbers, inputs = {}, []
    for image in images:
        loaded = load(image.path, [model.preprocess for model in models])
        answers = []
        for model, pixels in zip(models, loaded.inputs, strict=True):
            told = metadata.encode(image.columns, model.metadata_columns)
            answers.append(float(model.predict(pixels[None], told[None])[0]))
        numbers[image.image_id] = sum(answers) / len(answers)
        inputs.append(loaded.inputs[0])
    return numbers, inputs


def time_stages(work: list[Any], models: list[Any]) -> dict[str, list[dict[str, float]]]:
    """Return by transfer syntax the seconds of each stage of some images, on one core."""
    from inference.pixels.loading import load

    stages: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for image in list({image.image_id: image for image in work}.values())[:TIMED]:
        loaded = load(image.path, [model.preprocess for model in models])
        stages[loaded.transfer_syntax].append(loaded.seconds)
    return stages


def steady(work: list[Any], small: list[Any], replicas: Any, seconds: float) -> dict[str, Any]:
    """Return the rate of the very pipeline over so many seconds, and what it took beside.

    A decoder may start late in a long run (`inference.pixels.decoders`): `small` images, many
    times, bring the workers to where they will be for nearly all of it.
    """
    from inference import pipeline, workers

    seen: list[tuple[float, int]] = []
    configs = tuple(model.preprocess for model in replicas[0])
    tasks = [workers.Task(key=0, path=image.path, configs=configs) for image in small]

    def note(outcome: Any) -> None:
        done = len(outcome.probabilities) + len(outcome.failures)
        seen.append((time.perf_counter(), done))

    def run(images: list[Any], seconds: float) -> Any:
        seen.clear()
        return pipeline.run(
            images,
            replicas,
            decoding,
            batch_size=replicas[0][0].batch_size,
            deadline=_until(seconds),
            progress=note,
        )

    with workers.Workers(workers.default_count()) as decoding:
        for _ in workers.load_all(decoding, tasks * SETTLING * decoding.count):
            pass
        run(work[:WARMING], MOST_SECONDS)
        outcome = run(work, seconds)
    count = max(len(outcome.probabilities), 1)
    return {
        "rates": rates(seen[:-1] or seen),  # nothing decodes beside the last batch
        "predict_seconds_per_image": outcome.seconds["predict"] / count,
        "workers": outcome.workers,
        "worker_bytes": outcome.peak_rss_bytes,
        "images": count,
    }


def _until(seconds: float) -> Any:
    """Return a deadline that is over after so many seconds, but not before enough images."""
    from inference.deadline import Deadline

    class Until(Deadline):
        def pace(self, done: int, total: int) -> Any:
            enough = self.elapsed() >= seconds and done >= FEWEST
            return "over" if enough or self.elapsed() >= MOST_SECONDS else "full"

    return Until()


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
