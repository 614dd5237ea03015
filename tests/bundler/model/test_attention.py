"""Attention is one operator of ONNX Runtime where it can be, its formula where not."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bundler.model import graph, parity
from bundler.model.network import Folds
from bundler.model.origin import Reference
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, net

HEADS, WIDTH = 2, 8


class Attending(nn.Module):
    """The rows of an image attend to every `stride`-th row."""

    def __init__(self, stride: int = 1, value_width: int = WIDTH, **how: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stride, self.how = stride, how
        self.query, self.key, self.value = (
            nn.Linear(SIZE[1], HEADS * width) for width in (WIDTH, WIDTH, value_width)
        )

    def forward(self, image: Tensor) -> Tensor:
        rows = image[:, 0]
        query = self._split(self.query(rows))
        key, value = (self._split(make(rows[:, :: self.stride])) for make in (self.key, self.value))
        return scaled_dot_product_attention(query, key, value, **self.how).mean((1, 2))

    def _split(self, value: Tensor) -> Tensor:
        return value.unflatten(2, (HEADS, -1)).transpose(1, 2)


def count(network: Folds, tmp_path: Any) -> tuple[int, int]:
    """Return how many operators and how many formulas stand in the graph, which must be right."""
    model = graph.export(network, SIZE, 0, "attending")
    path = tmp_path / "model.onnx"
    graph.write(model, path)
    images = parity.random_images(SIZE)
    probabilities, logits = parity.answer_torch(network, images, None)
    reference = Reference(  # in float32, as the masks are
        probabilities=probabilities.astype(np.float64),
        logits=logits.astype(np.float64),
        kind="float32",
        noise=0.0,
        logit_noise=0.0,
    )
    actual = parity.answer_onnx(path, images, None)
    parity.check(parity.compare(reference, actual, real=0, tolerance=1e-4), "fp32")
    kinds = [node.op_type for node in model.graph]
    return kinds.count("MultiHeadAttention"), kinds.count("Softmax")


def folds(*nets: nn.Module) -> Folds:
    return Folds(nets, normalize=NORMALIZE, channels=1).eval()


@pytest.mark.parametrize("how", [{}, {"stride": 3}, {"value_width": 5}, {"scale": 0.2}])
def test_attention_is_one_operator(how: dict[str, Any], tmp_path: Any) -> None:
    assert count(folds(Attending(**how)), tmp_path) == (1, 0)


@pytest.mark.parametrize("how", [{"attn_mask": torch.eye(SIZE[0]) * 3}, {"is_causal": True}])
def test_masked_attention_stays_a_formula(how: dict[str, Any], tmp_path: Any) -> None:
    assert count(folds(Attending(**how)), tmp_path) == (0, 1)


def test_a_transformer_of_two_folds_has_no_table_of_its_tokens(tmp_path: Any) -> None:
    nets = [net("test_vit", seed, img_size=SIZE, in_chans=1) for seed in range(2)]
    blocks = sum(len(one.blocks) for one in nets)
    assert count(folds(*nets), tmp_path) == (blocks, 0)
