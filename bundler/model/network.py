"""The network as it is exported: uint8 pixels → the probability, each fold's beside the mean."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundler.errors import InputError, UsageError
from bundler.model import head as heads
from train.checkpoint import Normalize

LEAST = 1e-4  # of a probability whose logit is computed


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
        self.head = heads.read(head)
        # (x * scale - mean) / std, as one product and one sum
        mean, std = (
            torch.tensor(numbers, dtype=torch.float64).reshape(1, -1, 1, 1)
            for numbers in (normalize.mean, normalize.std)
        )
        self.register_buffer("gain", (normalize.scale / std).float())
        self.register_buffer("offset", (-mean / std).float())

    def to_half(self) -> "Folds":
        """Let the nets compute in float16 from now on, and return the network."""
        self.nets.half()
        self.half_precision = True
        return self

    def forward(self, image: Tensor, metadata: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return probability [N], folds [N, F] and logits [N, F]."""
        # The reference computes in float64: see parity.
        pixels = image.to(self.gain.dtype) * self.gain + self.offset
        inputs = [pixels] if metadata is None else [pixels, metadata.to(self.gain.dtype)]
        if self.half_precision:
            inputs = [value.half() for value in inputs]
        inputs[0] = inputs[0].expand(-1, self.channels, -1, -1)
        pairs = [self._read(net(*inputs)) for net in self.nets]
        logits = torch.stack([logit for logit, _ in pairs], dim=1)
        folds = torch.stack([probability for _, probability in pairs], dim=1)
        return folds.mean(dim=1), folds, logits

    def _read(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit and the probability of cancer, [N] each, from a net's answer."""
        answer = self._check(answer).to(self.gain.dtype)
        answer = answer.reshape(answer.shape[0], -1)
        own = answer[:, self.head.index]
        if self.head.kind == "probability":
            # Beyond these a float32 has too few digits left for a logit that can be compared.
            inner = own.clamp(LEAST, 1 - LEAST)
            return torch.log(inner / (1 - inner)), own
        if (
            self.head.kind == "softmax"
        ):  # of several classes it is a sigmoid, too: of own against rest
            rest = [
                answer[:, number] for number in range(answer.shape[1]) if number != self.head.index
            ]
            others = rest[0] if len(rest) == 1 else torch.logsumexp(torch.stack(rest, 1), dim=1)
            own = own - others
        return own, torch.sigmoid(own)

    def _check(self, answer: object) -> Tensor:
        """Refuse an answer that is no [N, C] or [N], before one of its numbers is picked."""
        if not isinstance(answer, Tensor):
            raise InputError(
                f"The network returns a {type(answer).__name__}, not a tensor of logits [N, C]. "
                "Let a factory (--factory) return a network that returns the logits alone."
            )
        shape = list(answer.shape[1:])
        outputs = math.prod(shape[:1])
        if any(side != 1 for side in shape[1:]):
            raise InputError(
                f"The network returns {shape} for an image, not logits [C]: nothing pools it. Name "
                "the pooling that it was trained with (--model-kwarg global_pool=avg), or write a "
                "factory that pools."
            )
        if not self.head.fits(outputs):
            raise UsageError(
                f"The network has {outputs} output{'' if outputs == 1 else 's'}, so --head "
                f"{self.head.kind}:{self.head.index} names none. Outputs are counted from 0."
            )
        return answer
