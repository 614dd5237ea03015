"""The generators that training draws from: seeded, saved and set again as one."""

import random
from collections.abc import Mapping
from typing import Any

import torch


def seed(number: int) -> None:
    """Seed all of them."""
    random.seed(number)
    torch.manual_seed(number)


def state() -> dict[str, Any]:
    """Return their state in tensors and plain types."""
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(saved: Mapping[str, Any]) -> None:
    """Set them to a saved state."""
    version, numbers, gauss = saved["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(saved["torch"])
    if saved["cuda"]:
        torch.cuda.set_rng_state_all(saved["cuda"])
