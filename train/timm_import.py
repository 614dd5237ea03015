"""``import timm`` that also works where torchvision's compiled operators do not load.

timm imports torchvision, and torchvision declares Python companions of its C++ operators
`nms` and `qnms` on import. A CPU build of torch beside the registry's torchvision, which is
built for CUDA, cannot load those operators, and the import ends in "operator torchvision::nms
does not exist". No model here uses them, so declaring their schemas is enough. Where the
operators do load, nothing is declared.

    from train.timm_import import timm, transforms
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _load_operators() -> bool:
    """Load torchvision's compiled operators; False where they do not fit this torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # the import below says what is missing
    library = next(Path(spec.origin).parent.glob("_C*.*"), None)
    try:
        if library is not None:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return library is not None


if not _load_operators():
    _library = torch.library.Library("torchvision", "DEF")
    for _schema in _SCHEMAS:
        _library.define(_schema)

import timm  # noqa: E402
import torchvision.transforms.v2 as transforms  # noqa: E402

__all__ = ["timm", "transforms"]
