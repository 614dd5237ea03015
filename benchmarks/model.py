"""`python -m benchmarks model`: the exported ONNX against the network it came from.

Per architecture, with random weights on the CPU at batch 1 and in as many threads each: ONNX
Runtime with the runner's own session options, and OpenVINO (in float32) where it is installed,
against torch eager, in turns within one run, so that a busy machine slows all of them, and the
rounds of each architecture are spread over the whole run; the median of their ratios. Beside it
the time of the export, the size of fp16 over fp32, and the largest difference in probability from
torch in both.

The ceiling is what ONNX Runtime would reach if all but its own products were free: convolutions,
matrix products and attention, whose share of its time comes from its profiler.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.boot.fields import Plain

ARCHITECTURES = (
    *("tf_efficientnetv2_s", "efficientnet_b0", "efficientnet_b4", "convnext_tiny"),
    *("convnext_small", "seresnext50_32x4d", "resnet50", "nextvit_small", "vit_small_patch16_224"),
)
FIXED_SIZE = ("vit",)  # these have to be told the size of their images
TARGET, FLOOR = 1.8, 1.1  # times torch eager: the geometric mean, and each
PAUSE = 0.2  # seconds before a turn: threads of the one before may still spin while they wait
PROFILED = 5  # runs under the profiler, the first of which warms up
PRODUCTS = {"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "MultiHeadAttention"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES, metavar="MODEL")
    parser.add_argument("--size", nargs=2, type=int, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        size, threads = tuple(options.size), options.threads
        subjects = [prepare(arch, size, threads, Path(folder)) for arch in options.architectures]
        for _ in range(options.rounds):
            for subject in subjects:
                subject.take_turns()
    summary = summarise([subject.row() for subject in subjects])
    print(json.dumps(summary.as_dict(), indent=2) if options.as_json else text(summary))
    return 0 if summary.means["onnxruntime"] >= TARGET and summary.slowest >= FLOOR else 1


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an architecture's export took and came to; `parity` by precision."""

    export_seconds: float
    fp16_size: float  # of float32's
    parity: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """An architecture's figures; `times_torch` are the medians of the rounds' ratios."""

    arch: str
    torch_ms: float
    times_torch: Mapping[str, float]
    facts: Facts

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        values = asdict(self)
        facts = values.pop("facts")
        return values | facts


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All rows, with the geometric means of their ratios."""

    rows: Sequence[Row]
    means: Mapping[str, float]

    @property
    def slowest(self) -> float:
        """The smallest ratio of ONNX Runtime's speed to torch's."""
        return min(row.times_torch["onnxruntime"] for row in self.rows)

    @property
    def largest_fp16_size(self) -> float:
        """The largest share of float32's size that float16 takes."""
        return max(row.facts.fp16_size for row in self.rows)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "rows": [row.as_dict() for row in self.rows],
            **{f"{name}_geometric_mean": mean for name, mean in self.means.items()},
            "slowest": self.slowest,
            "largest_fp16_size": self.largest_fp16_size,
        }


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An architecture, what runs it, and the seconds that each took in its turns."""

    arch: str
    runners: Mapping[str, Callable[[], object]]
    share_of_products: float
    facts: Facts
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take_turns(self) -> None:
        """Time each runner once; each warms up before its own turn."""
        for name, run in self.runners.items():
            time.sleep(PAUSE)
            run()
            start = time.perf_counter()
            run()
            self.times[name].append(time.perf_counter() - start)

    def row(self) -> Row:
        """Return the medians of the rounds' ratios, and the facts."""
        ratios = {
            name: statistics.median(
                t / own for t, own in zip(self.times["torch"], taken, strict=True)
            )
            for name, taken in self.times.items()
            if name != "torch"
        }
        ratios["ceiling"] = ratios["onnxruntime"] / self.share_of_products
        torch_ms = 1000 * statistics.median(self.times["torch"])
        return Row(arch=self.arch, torch_ms=torch_ms, times_torch=ratios, facts=self.facts)


def prepare(arch: str, size: tuple[int, int], threads: int, place: Path) -> Subject:
    """Export one architecture in both precisions and open it in what can run it."""
    import torch

    torch.set_num_threads(threads)
    image = np.random.default_rng(0).integers(0, 256, (1, *size), dtype=np.uint8)
    network, whole, seconds = export(arch, size, place, half=False)
    _, half, _ = export(arch, size, place, half=True)
    sizes = [path.stat().st_size for path in (whole, half)]
    parity = {
        name: largest_difference(network, path, size)
        for name, path in (("fp32", whole), ("fp16", half))
    }
    print(f"{arch}: exported in {seconds:.1f} s", file=sys.stderr, flush=True)
    return Subject(
        arch=arch,
        runners={"torch": lambda: run_torch(network, image), **_runtimes(whole, image, threads)},
        share_of_products=share_of_products(whole, image, threads, place),
        facts=Facts(export_seconds=seconds, fp16_size=sizes[1] / sizes[0], parity=parity),
    )


def export(
    arch: str,
    size: tuple[int, int],
    folder: Path,
    half: bool,
    kwargs: Mapping[str, Plain] | None = None,
) -> tuple[Any, Path, float]:
    """Return the network in float32, its ONNX file and the seconds that the export took.

    `kwargs` are timm's, besides those that every architecture gets.
    """
    import torch

    from bundler.model import graph
    from bundler.model.network import Folds
    from train import model

    torch.manual_seed(0)
    told: dict[str, Plain] = {"num_classes": 1, "in_chans": 3, **(kwargs or {})}
    if arch.startswith(FIXED_SIZE):
        told["img_size"] = size
    net = settle(model.build(arch, told), size)
    network = Folds([net], normalize=model.IMAGENET, channels=3, half=half).eval()
    path = folder / f"{arch}-{'fp16' if half else 'fp32'}.onnx"
    start = time.perf_counter()
    exported = graph.export(network, size, 0, arch)
    graph.strip(exported)
    graph.write(exported, path)
    return network, path, time.perf_counter() - start


def settle(net: Any, size: tuple[int, int]) -> Any:
    """Let a network's batch norms see some images, so that its answers are not all the same."""
    import torch

    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what was seen
    # Of different brightness and contrast: among pure noise the deep layers would hardly vary.
    each = (4, 1, 1, 1)
    grey = torch.randn(4, 1, *size) * torch.rand(each) * 3 + torch.randn(each) * 2
    with torch.no_grad():
        net.train()(grey.expand(-1, 3, -1, -1))
    return net.eval()


def _runtimes(
    path: Path, image: npt.NDArray[np.uint8], threads: int
) -> dict[str, Callable[[], object]]:
    """Return what runs an ONNX file: ONNX Runtime, and OpenVINO where it is installed."""
    import onnxruntime

    from inference import predict

    session = onnxruntime.InferenceSession(path, predict.settings(threads), providers=[predict.CPU])
    runners: dict[str, Callable[[], object]] = {
        "onnxruntime": lambda: session.run(["probability"], {"image": image[:, None]})
    }
    try:
        import openvino
    except ImportError:
        return runners
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    runners["openvino"] = lambda: compiled({"image": image[:, None]})["probability"]
    return runners


def share_of_products(
    path: Path, image: npt.NDArray[np.uint8], threads: int, folder: Path
) -> float:
    """Return the share of products in the time of ONNX Runtime's operators."""
    import onnxruntime

    from inference import predict

    options = predict.settings(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(path, options, providers=[predict.CPU])
    for _ in range(PROFILED):
        session.run(["probability"], {"image": image[:, None]})
    spent: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in json.loads(Path(session.end_profiling()).read_bytes()):
        if event["name"].endswith("_kernel_time"):
            spent.setdefault(event["name"], []).append(event["dur"])
            kinds[event["name"]] = event["args"]["op_name"]
    typical = {name: statistics.median(times[1:]) for name, times in spent.items()}
    products = sum(time for name, time in typical.items() if kinds[name] in PRODUCTS)
    return products / sum(typical.values())


def run_torch(network: Any, image: npt.NDArray[np.uint8]) -> object:
    """Run a network eagerly."""
    import torch

    with torch.inference_mode():
        return network(torch.from_numpy(image[:, None]))


def largest_difference(network: Any, path: Path, size: tuple[int, int]) -> float:
    """Return the largest difference in probability between torch and an ONNX file."""
    from bundler.model import parity

    images = parity.random_images(size)
    expected = parity.answer_torch(network.float(), images, None)
    actual = parity.answer_onnx(path, images, None)
    return float(np.abs(expected[0] - actual[0]).max())


def summarise(rows: Sequence[Row]) -> Summary:
    """Return the figures with their geometric means."""
    means = {
        name: math.exp(statistics.fmean(math.log(row.times_torch[name]) for row in rows))
        for name in rows[0].times_torch
    }
    return Summary(rows=rows, means=means)


def text(summary: Summary) -> str:
    """Return a line for each architecture, and the geometric means beside their targets."""
    means = "  ".join(f"{name} {mean:.2f}×" for name, mean in summary.means.items())
    closing = (
        f"geometric mean          {means} (target {TARGET}×); slowest {summary.slowest:.2f}× "
        f"(target {FLOOR}×); fp16 at most {summary.largest_fp16_size:.3f} of fp32 (target 0.51)"
    )
    return "\n".join([*map(_line, summary.rows), closing])


def _line(row: Row) -> str:
    ratios = "  ".join(f"{name} {ratio:.2f}×" for name, ratio in row.times_torch.items())
    facts = row.facts
    return (
        f"{row.arch:24} torch {row.torch_ms:7.1f} ms  {ratios}  "
        f"export {facts.export_seconds:.1f} s  fp16 {facts.fp16_size:.3f} of fp32  "
        f"off by {facts.parity['fp32']:.0e} (fp16 {facts.parity['fp16']:.0e})"
    )
