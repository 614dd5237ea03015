"""A network made for colour convolves a grey image once, and answers as before."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch

from bundler.model import graph
from bundler.model.network import Folds
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, net
from train.checkpoint import Normalize


def folds(arch: str, mean: Sequence[float], count: int = 2, **kwargs: Any) -> Folds:
    nets = [net(arch, seed, in_chans=3, **kwargs) for seed in range(count)]
    normalize = Normalize(mean=tuple(mean), std=(0.2,) * len(mean), scale=1 / 255)
    return Folds(nets, normalize=normalize, channels=3).eval()


def operators(model: onnx_ir.Model, name: str) -> list[onnx_ir.Node]:
    return [node for node in model.graph if node.op_type == name]


def first_channels(model: onnx_ir.Model) -> list[int]:
    """Return how many channels each convolution takes that no other one precedes."""
    (image,) = (value for value in model.graph.inputs if value.name == "image")
    found, pending = [], list(image.consumers())
    while pending:
        node = pending.pop()
        if node.op_type == "Conv":
            found.append(int(node.inputs[1].shape[1]))  # type: ignore[union-attr,index,arg-type]
        elif node.op_type != "Shape":
            pending += [user for value in node.outputs for user in value.consumers()]
    return found


def check_answers(network: Folds, model: onnx_ir.Model) -> None:
    session = onnxruntime.InferenceSession(
        onnx_ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 1, *SIZE), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images))[1].numpy()
    (found,) = session.run(["folds"], {"image": images})
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("arch", "kwargs"), [("test_resnet", {}), ("test_vit", {"img_size": SIZE})]
)
def test_equal_channels_are_convolved_once(arch: str, kwargs: dict[str, Any]) -> None:
    network = folds(arch, [0.4], **kwargs)
    model = graph.export(network, SIZE, 0, arch)
    assert first_channels(model) == [1, 1]  # a convolution for each fold
    # Without a type, writing the file complains.
    assert all(value.type for value in model.graph.initializers.values())
    check_answers(network, model)


def test_channels_with_a_mean_each_stay() -> None:
    network = folds("test_resnet", [0.485, 0.456, 0.406])
    model = graph.export(network, SIZE, 0, "test_resnet")
    assert first_channels(model) == [3, 3]
    check_answers(network, model)


def test_half_precision_is_convolved_once() -> None:
    nets = [net("test_resnet", in_chans=3)]
    half = Folds(nets, normalize=NORMALIZE, channels=3, half=True).eval()
    assert first_channels(graph.export(half, SIZE, 0, "test_resnet")) == [1]


def test_gelu_is_one_operator() -> None:
    """ONNX Runtime fuses neither order of Erf's formula that the exporter writes."""
    model = graph.export(folds("test_convnext", [0.4], count=1), SIZE, 0, "test_convnext")
    assert operators(model, "Gelu")
    assert not operators(model, "Erf")
