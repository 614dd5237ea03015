"""`python -m benchmarks architectures`: which of timm's families export, and how near they stay.

Per architecture, with random weights: the seconds of the export, the size of the file, and the
largest difference in probability between ONNX Runtime and torch in float64, beside how far torch's
own float32 is off from that (one image at a time, and in pairs). A refusal is printed as it is.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import model as nine
from inference.boot.fields import Plain

# One of each family beside the nine, of those that two cores export in less than a minute.
FAMILIES = (
    *("swinv2_tiny_window8_256", "maxvit_rmlp_pico_rw_256", "eva02_tiny_patch14_336"),
    *("davit_tiny", "fastvit_t8", "coat_lite_tiny", "regnety_008", "mobilenetv4_conv_small"),
    *("hgnetv2_b1", "dpn68"),
)
SIZED = ("vit", "swinv2", "maxvit", "eva02", "coat")  # built for the size of their images


@dataclass(frozen=True, kw_only=True)
class Row:
    """An architecture's figures; `refused` is the message where it cannot be exported."""

    arch: str
    seconds: float = 0.0
    megabytes: float = 0.0
    difference: float = 0.0
    noise: float = 0.0
    reference: str = ""
    refused: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures; 1 where one is off by more than is allowed, or refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks architectures", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("architectures", nargs="*", default=(*nine.ARCHITECTURES, *FAMILIES))
    parser.add_argument("--size", nargs=2, type=int, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    rows = []
    for arch in options.architectures:
        row = measure(arch, (options.size[0], options.size[1]))
        rows.append(row)
        print(line(row), file=sys.stderr if options.as_json else sys.stdout, flush=True)
    if options.as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    return 1 if any(row.refused for row in rows) else 0


def measure(arch: str, size: tuple[int, int]) -> Row:
    """Export one architecture and compare it as an export of the user's is compared."""
    from bundler.errors import BundlerError
    from bundler.model import parity
    from bundler.model.recipe import Recipe
    from bundler.model.torch_origin import TorchOrigin
    from inference.pixels.preprocess import PreprocessConfig
    from train import model

    with tempfile.TemporaryDirectory() as folder:
        try:
            network, path, seconds = nine.export(
                arch, size, Path(folder), half=False, kwargs=arguments_of(arch, size)
            )
            recipe = Recipe(
                arch=arch,
                model_kwargs={},
                channels=3,
                head="sigmoid:0",
                normalize=model.IMAGENET,
                preprocess=PreprocessConfig(size=size),
            )
            origin = TorchOrigin(network=network, recipe=recipe, metadata_width=0)
            images = parity.random_images(size)
            reference = origin.answer(images, None)
            actual = parity.answer_onnx(path, images, None)
            allowed = parity.allowed("fp32", reference.noise, None)
            compared = parity.compare(reference, actual, real=0, tolerance=allowed)
            parity.check(compared, "fp32")
        except (BundlerError, RuntimeError, AssertionError, ValueError, TypeError) as error:
            return Row(arch=arch, refused=(str(error).splitlines() or ["?"])[0][:200])
        return Row(
            arch=arch,
            seconds=seconds,
            megabytes=path.stat().st_size / 1e6,
            difference=compared.probability_max,
            noise=reference.noise,
            reference=reference.kind,
        )


def arguments_of(arch: str, size: tuple[int, int]) -> dict[str, Plain]:
    """Return what timm has to be told of the images' size."""
    return {"img_size": list(size)} if arch.startswith(SIZED) else {}


def line(row: Row) -> str:
    """Return an architecture's figures for people."""
    if row.refused:
        return f"{row.arch:26} refused: {row.refused}"
    return (
        f"{row.arch:26} export {row.seconds:5.1f} s  {row.megabytes:6.1f} MB  off by "
        f"{row.difference:.0e} from {row.reference}; torch's own float32 by {row.noise:.0e}"
    )
