"""What each part of the tool needs from others: the lists of dependencies.toml.

`python -m bundler.dependencies kernel` prints a list, one requirement a line, for the Makefile:
standard library only, since nothing is installed when it asks.
"""

import argparse
import functools
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

FILE = Path(__file__).with_name("dependencies.toml")
WHEELHOUSE = """\
# What the runner imports; the image's own packages are left out of the bundle when they fit.
{runner}
# From 1.27 on ONNX Runtime's GPU build wants CUDA 13 and runs on the CPU, silently, on this image.
{onnxruntime}
{codecs}
# JPEG Lossless in half the time; the image has it.
{fast}
{decoders}
"""


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """The lists, each module → requirement."""

    runner: dict[str, str]
    codecs: dict[str, str]
    fast: dict[str, str]
    onnxruntime: dict[str, str]  # cpu, gpu → requirement
    decoders: dict[str, str]
    training: dict[str, str]
    bundling: dict[str, str]
    tables: dict[str, str]
    buckets: dict[str, dict[str, str]]  # scheme of an address → the list
    kernel: dict[str, str]


@functools.cache
def load() -> Dependencies:
    """Return the lists."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Dependencies(**{field.name: content[field.name] for field in fields(Dependencies)})


def wheelhouse() -> str:
    """Return the text of wheelhouse.txt: what the runner needs on the notebook's GPU image."""
    lists = load()
    return WHEELHOUSE.format(
        runner="\n".join(lists.runner.values()),
        onnxruntime=lists.onnxruntime["gpu"],
        codecs="\n".join(lists.codecs.values()),
        fast="\n".join(lists.fast.values()),
        decoders="\n".join(lists.decoders.values()),
    )


def demo_wheelhouse() -> str:
    """Return the same for a notebook on this machine's CPU that has nothing but Python."""
    lists = load()
    together = lists.runner | lists.codecs | lists.decoders
    return "\n".join([*together.values(), lists.onnxruntime["cpu"]]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the requirements of a list."""
    parser = argparse.ArgumentParser(prog="python -m bundler.dependencies", description=__doc__)
    parser.add_argument("list", choices=["kernel"])
    parser.parse_args(arguments)
    print("\n".join(load().kernel.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
