"""One training process or several: what differs between them, and only that.

`torchrun --nproc-per-node N -m train.run …` starts N; without it there is one process.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import distributed, nn

from train.errors import ConfigError


class Processes:
    """The processes that train together."""

    def __init__(self, device: str = "auto") -> None:
        """Join the others, if torchrun started any; choose the device of this one."""
        self.rank = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"trainer.device is {device!r}, not one of auto, cpu, cuda.")
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "trainer.device is cuda, but torch sees no GPU on this machine. Set "
                "trainer.device=auto."
            )
        on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        self.device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if on_gpu else "gloo")
        if on_gpu:
            torch.cuda.set_device(self.device)

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def wrap(self, model: nn.Module, *, compile: bool) -> nn.Module:
        """Return the model as it takes steps: compiled, and sharing gradients."""
        stepped: Any = torch.compile(model) if compile else model
        if self.count == 1:
            return stepped
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(stepped, device_ids=devices)

    def gather(self, mine: Any) -> list[Any]:
        """Return what every process gives, in the order of their ranks."""
        if self.count == 1:
            return [mine]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, mine)
        return gathered

    def share_buffers(self, model: nn.Module) -> None:
        """Give all processes the first one's running statistics."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, 0)

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        if self.count > 1:
            distributed.barrier()

    def close(self) -> None:
        """Part from the others."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
