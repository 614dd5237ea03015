"""Why the index has no package of a name, and which name was probably meant."""

import difflib
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.image import target
from bundler.image.target import Target

# conda's names of things that the registry has under another name, or not at all.
CONDA = {
    "cudatoolkit": "nvidia-cuda-runtime-cu12",
    "cudnn": "nvidia-cudnn-cu12",
    "dcmtk": "dicomsdl",
    "faiss-gpu": "faiss-cpu",
    "gdcm": "python-gdcm",
    "libgdcm": "python-gdcm",
    "libjpeg-turbo": "imagecodecs",
    "libopencv": "opencv-python-headless",
    "opencv": "opencv-python-headless",
    "openjpeg": "pylibjpeg-openjpeg",
    "pillow-simd": "pillow",
    "py-opencv": "opencv-python-headless",
    "pytorch": "torch",
    "pytorch-cuda": "torch",
    "pytorch-gpu": "torch",
    "tensorflow-gpu": "tensorflow",
}
# What the field installs beside the packages of the image.
FIELD = (
    "albumentations",
    "dicomsdl",
    "efficientnet-pytorch",
    "ensemble-boxes",
    "faiss-cpu",
    "hydra-core",
    "imagecodecs",
    "iterative-stratification",
    "kornia",
    "lightning",
    "mlflow",
    "monai",
    "nvidia-nvimgcodec-cu12",
    "nvidia-nvimgcodec-cu13",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python-headless",
    "openvino",
    "pretrainedmodels",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "python-gdcm",
    "pytorch-lightning",
    "segmentation-models-pytorch",
    "simpleitk",
    "tensorrt",
    "torchmetrics",
    "ultralytics",
    "wandb",
    "word2number",
    "wget",
)


def absent(name: str, machine: Target) -> str:
    """Return a sentence for a name that no index has."""
    if name in CONDA:
        return (
            f"{name} is a conda package, and no index that is configured has it. "
            f"The same on PyPI is {CONDA[name]}."
        )
    near = nearest(name, machine)
    if not near:
        return f"No index has a package named {name}."
    return f"No index has a package named {name}. Did you mean {' or '.join(near)}?"


def notes(wanted: Iterable[Requirement]) -> list[str]:
    """Return a warning for each name that conda uses for what the registry calls otherwise."""
    names = [canonicalize_name(need.name) for need in wanted]
    return [
        f"conda's {name} is {CONDA[name]} on PyPI: check that the index's package {name} is "
        "the one you mean."
        for name in names
        if name in CONDA
    ]


def nearest(name: str, machine: Target) -> list[str]:
    """Return up to three known names that look like `name`."""
    known = {*FIELD, *machine.packages, *CONDA.values()}
    for shipped in target.shipped():
        known |= target.load(shipped).packages.keys()
    return difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.75)
