"""Small checkpoints, in this project's format and in the formats of others."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch

from bundler.model.options import (
    Choice,
    ExportOptions,
    ModelOptions,
    PreprocessChanges,
    Training,
)
from inference import metadata
from inference.pixels.preprocess import PreprocessConfig
from train import checkpoint, model
from train.checkpoint import Normalize

T = TypeVar("T")
SIZE = (96, 64)
ARCH = "test_resnet"  # timm's own for tests: 0.4 million parameters
NORMALIZE = Normalize(mean=(0.4,), std=(0.2,), scale=1 / 255)
# What a checkpoint that says nothing has to be told (and the preset, since SIZE is no preset's).
TOLD: dict[str, Any] = {
    "arch": ARCH,
    "preset": "baseline-512",
    "mean": (0.4,),
    "std": (0.2,),
    "scale": 1 / 255,
    "prevalence": 0.02,
    "threshold": 0.5,
}


def net(
    arch: str = ARCH, seed: int = 0, metadata_columns: Sequence[str] = (), **kwargs: Any
) -> torch.nn.Module:
    """Return a network with weights by seed, as if it had been trained a while.

    Its batch norms have seen images, and the layer scales of ConvNeXt do not silence its blocks.
    """
    torch.manual_seed(seed)
    made = model.build(arch, {"num_classes": 1, "in_chans": 1, **kwargs}, metadata_columns)
    for name, parameter in made.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.constant_(parameter, 0.3)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what was seen
    told = [torch.zeros(8, metadata.width(metadata_columns))] if metadata_columns else []
    # Images that differ in brightness and contrast, as real ones do: among pure noise the deep
    # layers would hardly vary, and their batch norms would blow up any difference by 1e5.
    each = (8, 1, 1, 1)
    grey = torch.randn(8, 1, *kwargs.get("img_size", SIZE)) * torch.rand(each) * 3
    grey = grey + torch.randn(each) * 2
    with torch.no_grad():
        made.train()(grey.expand(-1, int(kwargs.get("in_chans", 1)), -1, -1), *told)
    return made.eval()


def save(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a checkpoint as the training writes it, but for `changes`."""
    values: dict[str, Any] = {
        "arch": ARCH,
        "model_kwargs": {"num_classes": 1, "in_chans": 1},
        "preprocess": PreprocessConfig(size=SIZE),
        "ema": None,
        "normalize": NORMALIZE,
        "metadata_columns": [],
        "fold": 0,
        "epoch": 2,
        "metrics": {"pfbeta": 0.504},
        "prevalence": 0.0206,
        "run_id": "run-1",
        "commit": "0123456789abcdef",
        "dirty": False,
        "config": {},
    } | changes
    if "model" not in values:
        values["model"] = net(values["arch"], seed, **values["model_kwargs"]).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, checkpoint.Checkpoint(**values))
    return path


def options(*paths: Path, **changes: Any) -> ModelOptions:
    """Return the options of an export with a threshold, but for `changes`."""
    values = {"checkpoints": paths, "threshold": 0.5, **changes}

    def part(kind: type[T]) -> T:
        named = [one.name for one in fields(kind) if one.name in values]  # type: ignore[arg-type]
        return kind(**{name: values.pop(name) for name in named})

    values["preprocessing"] = part(PreprocessChanges)
    return ModelOptions(
        choice=part(Choice),
        training=part(Training),
        export=part(ExportOptions),
        **values,
    )
