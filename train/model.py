"""The network: uint8 images in, logits out, normalisation included.

What is trained is what is exported: `Classifier` takes the uint8 images of `inference.pixels`
and normalises them itself, so nothing about numbers is left to whoever calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from inference import metadata
from inference.boot.fields import Plain
from train.checkpoint import Checkpoint, Normalize
from train.errors import ConfigError, DataError

# Grey images under weights learned on colour ones: the mean of the three channels' figures.
IMAGENET = Normalize(mean=(0.449,), std=(0.226,), scale=1 / 255)


class Classifier(nn.Module):
    """Images uint8 [N, 1, H, W] (and a table float [N, K]) → logits [N, outputs].

    Output 0 is cancer; what follows are the classes of the auxiliary targets.
    """

    def __init__(self, net: nn.Module, normalize: Normalize, in_chans: int) -> None:
        """Wrap a network that takes normalised images of `in_chans` channels."""
        super().__init__()
        self.net = net
        self.in_chans = in_chans
        for name, numbers in (
            ("mean", normalize.mean),
            ("std", normalize.std),
            ("scale", (normalize.scale,)),
        ):
            # Not persistent: the network's weights bear timm's own names and nothing else.
            value = torch.tensor(numbers).reshape(1, -1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor, table: Tensor | None = None) -> Tensor:
        """Return the logits."""
        pixels = (images.to(self.mean.dtype) * self.scale - self.mean) / self.std
        if self.in_chans > 1:
            pixels = pixels.expand(-1, self.in_chans, -1, -1)
        return self.net(pixels) if table is None else self.net(pixels, table)


class TableNet(nn.Module):
    """An image network with a branch for the numbers of `inference.metadata`."""

    def __init__(self, backbone: nn.Module, numbers: int, outputs: int, width: int = 32) -> None:
        """Join a timm backbone without a head to `numbers` numbers."""
        super().__init__()
        self.backbone = backbone
        self.table = nn.Sequential(nn.Linear(numbers, width), nn.ReLU(), nn.Linear(width, width))
        self.head = nn.Linear(int(backbone.num_features) + width, outputs)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor, table: Tensor) -> Tensor:
        """Return logits [N, outputs] of normalised images and encoded numbers [N, K]."""
        return self.head(torch.cat([self.backbone(pixels), self.table(table)], dim=1))


def build(
    arch: str,
    model_kwargs: Mapping[str, Plain],
    metadata_columns: Sequence[str] = (),
    *,
    pretrained: bool = False,
    weights: str | None = None,
) -> nn.Module:
    """Build the bare network: a timm model, or a TableNet around one.

    Without metadata its weights bear timm's own names. `model_kwargs` are timm's, with
    `num_classes` outputs; `weights` is a file of pretrained ones, where the hub is out of reach.
    Raises ConfigError with the nearest names for an unknown `arch`.
    """
    from train.timm_import import timm

    name = arch.partition(".")[0]
    if not timm.is_model(name):
        import difflib

        near = difflib.get_close_matches(name, timm.list_models(), n=4, cutoff=0.5)
        raise ConfigError(
            f"timm {timm.__version__} has no model {arch!r}."
            + (f" Nearest: {', '.join(near)}." if near else "")
        )
    kwargs = dict(model_kwargs)
    outputs = kwargs.pop("num_classes")
    if pretrained and weights is not None:
        kwargs["pretrained_cfg_overlay"] = {"file": weights}
    try:
        backbone = timm.create_model(
            arch, pretrained, num_classes=0 if metadata_columns else outputs, **kwargs
        )
    except (OSError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"timm cannot build {arch}{' with pretrained weights' if pretrained else ''}: "
            f"{str(error).strip().splitlines()[0]}"
            + (
                " Where the hub cannot be reached, give a file of weights (model.weights=FILE) or "
                "begin from random ones (model.pretrained=false)."
                if pretrained
                else ""
            )
        ) from error
    if not metadata_columns:
        return backbone
    return TableNet(backbone, metadata.width(metadata_columns), outputs)


def restore(checkpoint: Checkpoint) -> Classifier:
    """Return a checkpoint's model, its EMA weights where it has them, ready to predict."""
    net = build(checkpoint.arch, checkpoint.model_kwargs, checkpoint.metadata_columns)
    try:
        net.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise DataError(f"The weights do not fit {checkpoint.arch}: {error}") from error
    in_chans = int(checkpoint.model_kwargs.get("in_chans", 3))
    return Classifier(net, checkpoint.normalize, in_chans).eval()
