"""Measure in the sandbox, after the notebook: origins of modules, predictions, seconds an image.

`python probe.py MEASURE.json` with the notebook's Python; the runner is the one that the notebook
unpacked, the packages are those that it installed. `bundler.competition.screening.measurement`
writes the input and reads the results; in the sandbox this file is alone.
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
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # on the notebook these are the code bundle's, found when `main` has begun
    import numpy as np
    import numpy.typing as npt

    from inference.deadline import Deadline, Pace
    from inference.outcome import Outcome
    from inference.predict import Replica
    from inference.submission import TestImage
    from inference.workers import Workers

FEWEST = 48  # images of steady work, unless they take too long
MOST_SECONDS = 40.0  # of it
SETTLING = 60  # times that a worker loads each small image before it
WARMING = 12  # images before it, through the whole pipeline
TIMED = 24  # images whose stages are timed one by one
REST = 4  # images in a batch that is not full
PARTS = 4  # of the steady work, whose differences tell how sure the rate is
RESULT, INPUTS = "probed.json", "inputs.npz"  # what is written


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to measure; folders by the paths at which the sandbox has them."""

    libs: str
    model: str
    competition: str
    out: str  # where the results go
    compared: list[str]  # ids of the images to predict one by one
    work: list[str]  # ids of the steady work, in its order
    small: list[str]  # ids of images that bring the workers to their pace
    seconds: float  # of steady work


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The pace of the very pipeline, and what it took beside."""

    parts: list[float]  # seconds per image in each part of the steady work, all cores at work
    predict_seconds: float  # per image
    worker_bytes: int  # peak memory of a worker


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What was measured."""

    origins: list[str]  # modules that come from elsewhere than the bundle, as whole sentences
    predictions: dict[str, float]  # image id → probability
    stages: dict[str, list[dict[str, float]]]  # transfer syntax → for each image: stage → seconds
    rate: Rate
    providers: list[str]  # of ONNX Runtime
    batched: dict[str, float] = field(default_factory=dict)  # image id → probability in a batch
    not_batched: str = ""  # why there are none


def main(arguments: list[str]) -> None:
    """Measure as the file of a `Spec` says, and write the results."""
    spec = Spec(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    # The notebook's first cell unpacked the runner there, under a random name.
    (code,) = glob.glob(f"{tempfile.gettempdir()}/rsna-bundle-*/code-*/runner")
    sys.path.insert(0, code)
    os.environ["PYTHONPATH"] = os.pathsep.join([code, os.environ.get("PYTHONPATH", "")])
    from inference.boot import bundle as bundles
    from inference.boot import install

    libs = bundles.read(Path(spec.libs))
    site = install.folder(libs, Path(code).parents[1])
    install.activate(site)
    probed = measure(spec, origins(install.fitting(libs.libs).lock, site))
    (Path(spec.out) / RESULT).write_text(json.dumps(asdict(probed)), encoding="utf-8")


def origins(lock: Iterable[str], site: Path) -> list[str]:
    """Return which modules of the locked wheels come from elsewhere than the bundle."""
    wrong = []
    for line in lock:
        name, _, version = line.split()[0].partition("==")
        if Path(name).suffix:
            continue
        seen = importlib.metadata.version(name)
        if seen != version:
            wrong.append(f"{name} {version} is locked, but Python sees {seen}.")
        for module in _modules(name):
            file = getattr(sys.modules.get(module), "__file__", None) or _find(module)
            if file and not Path(file).is_relative_to(site):
                wrong.append(f"The module {module} of {name} {version} is taken from {file}.")
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


def measure(spec: Spec, wrong_origins: list[str]) -> Probed:
    """Return the predictions of some images, their stages' seconds, and the pace of steady work."""
    import numpy as np

    from inference import predict, submission, workers
    from inference.boot import bundle as bundles

    replicas = predict.load(bundles.read(Path(spec.model)), "auto")
    images = {image.image_id: image for image in submission.read_test(Path(spec.competition))}
    compared = [images[name] for name in spec.compared]
    predictions, inputs = predict_each(compared, replicas[0])
    if inputs:
        np.savez_compressed(Path(spec.out) / INPUTS, *inputs)
    work = [images[name] for name in spec.work]
    small = [images[name] for name in spec.small]
    stages = time_stages(work, replicas[0])
    with workers.Workers(workers.default_count()) as decoding:
        rate = steady(work, small, replicas, decoding, spec.seconds)
        # Last, since the memory that it takes is that of another device.
        reason = why_not_batched(rate.predict_seconds)
        batched = {} if reason else predict_batched(compared, replicas, decoding)
    return Probed(
        origins=wrong_origins,
        predictions=predictions,
        stages=stages,
        rate=rate,
        providers=list(replicas[0][0].providers),
        batched=batched,
        not_batched=reason,
    )


def why_not_batched(predict_seconds: float) -> str:
    """Say why a GPU's batches cannot be tried here; nothing where they can."""
    from inference import predict, workers

    size = predict.BATCHES[predict.CUDA]
    if predict_seconds * size > MOST_SECONDS:
        return f"{size} images would take {predict_seconds * size:.0f} s"
    # At most as much again for each image as this process has held with one at a time.
    needed = size * workers.peak_rss()
    if needed > (free := available_bytes()):
        return f"{size} images may take {needed / 1e9:.0f} GB of memory; {free / 1e9:.0f} are free"
    return ""


def available_bytes() -> int:
    """Return how much memory can be taken; none where the system does not say."""
    path = Path("/proc/meminfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return sum(int(one.split()[1]) << 10 for one in lines if one.startswith("MemAvailable:"))


def predict_batched(
    images: "list[TestImage]", replicas: "Sequence[Replica]", decoding: "Workers"
) -> dict[str, float]:
    """Return the probabilities of images in the batches of a GPU: a whole one, and a rest."""
    from inference import pipeline, predict

    size = predict.BATCHES[predict.CUDA]
    some = images[: size + REST]
    outcome = pipeline.run(some, replicas, decoding, pipeline.Settings(batch_size=size))
    return {some[key].image_id: value for key, value in outcome.probabilities.items()}


def predict_each(
    images: "list[TestImage]", models: "Replica"
) -> "tuple[dict[str, float], list[npt.NDArray[np.uint8]]]":
    """Return each image's probability, and what the first model was shown, uint8 [H, W]."""
    from inference import metadata
    from inference.pixels.loading import load

    predictions, inputs = {}, []
    # One by one, as the laptop does it: only what the machines do differently shows.
    for image in images:
        loaded = load(image.path, [model.preprocess for model in models])
        by_model = []
        for model, pixels in zip(models, loaded.inputs, strict=True):
            columns = metadata.encode(image.columns, model.metadata_columns)
            by_model.append(float(model.predict(pixels[None], columns[None])[0]))
        predictions[image.image_id] = sum(by_model) / len(by_model)
        inputs.append(loaded.inputs[0])
    return predictions, inputs


def time_stages(work: "list[TestImage]", models: "Replica") -> dict[str, list[dict[str, float]]]:
    """Return by transfer syntax the seconds of each stage of some images, on one core."""
    from inference.pixels.loading import load

    stages: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for image in list({image.image_id: image for image in work}.values())[:TIMED]:
        loaded = load(image.path, [model.preprocess for model in models])
        stages[loaded.transfer_syntax].append(dict(loaded.seconds))
    return dict(stages)  # dataclasses.asdict cannot copy a defaultdict


def steady(
    work: "list[TestImage]",
    small: "list[TestImage]",
    replicas: "Sequence[Replica]",
    decoding: "Workers",
    seconds: float,
) -> Rate:
    """Return the pace of the very pipeline over so many seconds, and what it took beside.

    A decoder may start late in a long run (`inference.pixels.decoders`): `small` images, many
    times, bring the workers to where they will be for nearly all of it.
    """
    from inference import pipeline, workers

    seen: list[tuple[float, int]] = []
    configs = tuple(model.preprocess for model in replicas[0])
    tasks = [workers.Task(key=0, path=image.path, configs=configs) for image in small]

    def note(outcome: "Outcome") -> None:
        seen.append((time.perf_counter(), outcome.seen))

    def run(images: "list[TestImage]", seconds: float) -> "Outcome":
        seen.clear()
        return pipeline.run(
            images,
            replicas,
            decoding,
            pipeline.Settings(batch_size=replicas[0][0].batch_size, progress=note),
            deadline=_until(seconds),
        )

    for _ in workers.load_all(decoding, tasks * SETTLING * decoding.count):
        pass
    # The first batches open libraries and fill caches, which a long run pays for once.
    run(work[:WARMING], MOST_SECONDS)
    outcome = run(work, seconds)
    count = max(len(outcome.probabilities), 1)
    return Rate(
        parts=rates(seen[:-1] or seen),  # nothing decodes beside the last batch
        predict_seconds=outcome.seconds["predict"] / count,
        worker_bytes=outcome.peak_rss_bytes,
    )


def _until(seconds: float) -> "Deadline":
    """Return a deadline that is over after so many seconds, but not before enough images."""
    from inference.deadline import Deadline

    class Until(Deadline):
        def pace(self, done: int, total: int) -> "Pace":
            enough = self.elapsed() >= seconds and done >= FEWEST
            return "over" if enough or self.elapsed() >= MOST_SECONDS else "full"

    return Until()


def rates(seen: list[tuple[float, int]]) -> list[float]:
    """Return the seconds per image in each part of the steady work."""
    # Before the first batch is predicted the workers are only ahead of it: no pace yet.
    steady = [point for point in seen if point[1] > 0] or seen
    edges = [round(number * (len(steady) - 1) / PARTS) for number in range(PARTS + 1)]
    seconds = []
    for one, other in itertools.pairwise(edges):
        images = steady[other][1] - steady[one][1]
        if images > 0:
            seconds.append((steady[other][0] - steady[one][0]) / images)
    return seconds


if __name__ == "__main__":
    main(sys.argv[1:])
