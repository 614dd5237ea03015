"""Small valid parts of manifests, for bundles that tests write."""

import sys
from typing import Any

from inference.boot.card import Card, Checkpoint, Golden, Normalize, OnnxModel, Preprocess
from inference.boot.manifest import Code, Libs, LibsTarget, Model

HERE = ".".join(map(str, sys.version_info[:3]))  # this Python, as the notebook's
CODE = Code(commit="c" * 40, dirty=False, branch=None, runner="0.1.0")
NO_GOLDEN = Golden(dicoms=(), predictions=())
NO_MODELS = Model(models=(), golden=NO_GOLDEN)


def libs(lock: tuple[str, ...] = (), python: str = HERE, **changes: Any) -> Libs:
    """Return the part of a libs bundle for one target."""
    about: dict[str, Any] = {"name": "host", "digest": "", "excluded": (), "shadowed": ()} | changes
    return Libs(targets=(LibsTarget(lock=lock, python=python, **about),))


def checkpoint(name: str = "fold0.pt", **changes: Any) -> Checkpoint:
    """Return a checkpoint's history."""
    about: dict[str, Any] = {
        "sha256": "0" * 64,
        "weights": "model",
        "fold": 0,
        "epoch": 3,
        "metrics": {},
        "metrics_per": None,
        "prevalence": 0.02,
        "run_id": None,
        "commit": None,
        "dirty": None,
    }
    return Checkpoint(name=name, **about | changes)


def card(preprocess: Preprocess | None = None, **changes: Any) -> Card:
    """Return what a model says of itself."""
    about: dict[str, Any] = {
        "checkpoints": (),
        "arch": "brightness",
        "model_kwargs": {},
        "precision": "fp32",
        "preprocess": preprocess or Preprocess(version=1, size=(64, 48)),
        "normalize": Normalize(mean=(0.0,), std=(1.0,), scale=1.0),
        "head": "sigmoid:0",
        "metadata_columns": (),
        "output": "probability",
        "aggregation": "mean",
        "threshold": 0.5,
        "prevalence": 0.02,
    }
    return Card(**about | changes)


def model(about: Card, file: str = "model.onnx", golden: Golden = NO_GOLDEN) -> Model:
    """Return the part of a bundle of one ONNX file."""
    return Model(models=(OnnxModel(file=file, **vars(about)),), golden=golden)
