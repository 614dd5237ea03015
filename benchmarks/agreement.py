"""Whether `libs` answers as uv does: `python -m benchmarks agreement`, against the registry.

Each stack is resolved by `rsna-bundle libs`' own code, and by `uv pip compile` with the image's
versions as constraints. What the bundle would bring is compared with what uv chose besides the
image's packages. No wheel is downloaded.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs.index import sources
from bundler.libs.reading import pip_file
from bundler.libs.resolve import rules, solution, uv
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.solution import Problem

OF_TORCH = re.compile("nvidia-|cuda-|triton")  # what torch alone needs of these stacks
TARGET = "kaggle-gpu-2026-10"
STACKS = {
    "classification": ("timm", "albumentations"),
    "segmentation": ("segmentation-models-pytorch",),
    "volumes": ("monai", "nibabel"),
    "training": ("lightning", "torchmetrics"),
    "detection": ("ultralytics", "ensemble-boxes"),
    "text": ("sentence-transformers", "accelerate"),
    "tables": ("lightgbm", "catboost", "optuna"),
    "DICOM": ("pydicom", "pylibjpeg-openjpeg", "dicomsdl", "python-gdcm"),
    "runtime": ("onnxruntime-gpu", "onnx"),
    "sound": ("librosa", "audiomentations"),
    "registration": ("simpleitk", "torchio"),
    "configuration": ("hydra-core", "omegaconf"),
    "search": ("faiss-cpu", "rank-bm25"),
    "vision": ("kornia", "einops", "imagecodecs"),
}


def main(argv: Sequence[str]) -> int:
    """Print for each stack whether the two agree, and else how they differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks agreement", description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="STACK", help=", ".join(STACKS))
    parser.add_argument("--target", default=TARGET)
    options = parser.parse_args(argv)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        del os.environ[name]  # the registry alone, however this machine is set up
    os.environ["PIP_CONFIG_FILE"] = os.devnull
    target = targets.load(options.target)
    agreed = 0
    chosen = {name: STACKS[name] for name in options.stacks or STACKS}
    for name, lines in chosen.items():
        ours, theirs = bundled(target, lines), compiled(target, lines)
        agreed += ours == theirs
        listed = ", ".join(f"{key} {value}" for key, value in sorted(ours.items())) or "nothing"
        print(f"{name}: {listed}" if ours == theirs else f"{name}: {difference(ours, theirs)}")
    print(f"{agreed} of {len(chosen)} agree for {target.name}")
    return 0


def bundled(target: Target, lines: Sequence[str]) -> dict[str, str]:
    """Return what a bundle would bring, by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wheelhouse.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        wanted = pip_file.read(path).on(target.environment)
    builder = Builder(target=target, sources=sources.configured(wanted.sources))
    problem = Problem(requirements=wanted, target=target, builder=builder)
    chosen = solution.choose(problem, solution.offer(problem))
    return {one.name: one.version for one in chosen if one.file}


def compiled(target: Target, lines: Sequence[str]) -> dict[str, str]:
    """Return what uv chooses besides the image's packages, held at the image's versions."""
    # A build of the image's own (+cu128) is on no index; there its release stands for it, which
    # needs the CUDA of another year. The image has its own, so that need is none of the question.
    image = [f"{one.name}=={Version(one.version).public}" for one in target.installed]
    cuda = [line for line in image if OF_TORCH.match(line)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "constraints.txt").write_text("\n".join([*image, *rules.constraints(target)]))
        (folder / "overrides.txt").write_text("\n".join(cuda))
        (folder / "requirements.in").write_text("\n".join(lines))
        command = ["pip", "compile", "requirements.in", "--constraints", "constraints.txt"]
        command += [
            "--overrides",
            "overrides.txt",
            "--quiet",
            "--no-config",
            "--no-header",
            "--no-annotate",
            "--color=never",
        ]
        command += ["--no-python-downloads", f"--python={sys.executable}"]
        command += [f"--python-version={target.python}", f"--python-platform={uv.platform(target)}"]
        run = subprocess.run(
            [uv.executable(), *command], cwd=folder, capture_output=True, text=True, check=False
        )
    if run.returncode:
        return {"uv": run.stderr.strip().splitlines()[1].strip()}
    needs = [Requirement(line) for line in run.stdout.splitlines() if "==" in line]
    pinned = {canonicalize_name(need.name): str(need.specifier)[2:] for need in needs}
    return {
        name: version
        for name, version in pinned.items()
        if name not in target.packages and not OF_TORCH.match(name)
    }


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """Return what differs, for people."""
    parts = []
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name, "none"), theirs.get(name, "none")
        if one != other:
            parts.append(f"{name} {one}, uv: {other}")
    return "DIFFERS: " + "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
