"""The network as it is exported: uint8 pixels → the probability, each fold's beside the mean."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train.checkpoint import Normalize


class Folds(nn.Module):
    """One or several folds of one architecture behind one normalisation.

    uint8 [N, 1, H, W] (and float32 [N, K] of metadata) → probability float32 [N] (the folds'
    mean), folds float32 [N, F], logits float32 [N, F]. With `half` the nets compute in float16;
    what goes in and out stays as it is.
    """

    gain: Tensor
    offset: Tensor

    def __init__(
        self,
        nets: Sequence[nn.Module],
        *,
        normalize: Normalize,
        channels: int,
        head: str = "sigmoid:0",
        half: bool = False,
    ) -> None:
        super().__init__()
        self.nets = nn.ModuleList(net.half() if half else net for net in nets)
        self.channels, self.half_precision = channels, half
        self.kind, _, index = head.partition(":")
        self.index = int(index or 0)
        # (x * scale - mean) / std, as one product and one sum
        mean, std = (
            torch.tensor(numbers, dtype=torch.float64).reshape(1, -1, 1, 1)
            for numbers in (normalize.mean, normalize.std)
        )
        self.register_buffer("gain", (normalize.scale / std).float())
        self.register_buffer("offset", (-mean / std).float())

    def forward(self, image: Tensor, metadata: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return probability [N], folds [N, F] and logits [N, F]."""
        pixels = image.float() * self.gain + self.offset
        inputs = [pixels] if metadata is None else [pixels, metadata]
        if self.half_precision:
            inputs = [value.half() for value in inputs]
        inputs[0] = inputs[0].expand(-1, self.channels, -1, -1)
        logits = torch.stack([self._logit(net(*inputs).float()) for net in self.nets], dim=1)
        folds = torch.sigmoid(logits)
        return folds.mean(dim=1), folds, logits

    def _logit(self, answer: Tensor) -> Tensor:
        """Return the logit of cancer [N] from a net's answer [N, C] or [N]."""
        answer = answer.reshape(answer.shape[0], -1)
        if self.kind == "softmax":  # softmax over two classes is the sigmoid of their difference
            return answer[:, 1] - answer[:, 0]
        return answer[:, self.index]
