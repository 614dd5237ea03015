"""Weights that do not fit are recognised, and never loaded with holes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bundler.errors import InputError, UsageError
from bundler.model import architecture, architectures, checkpoint
from tests.bundler.model.checkpoints import ARCH, net
from train import model

ONE: dict[str, Any] = {"num_classes": 1, "in_chans": 1}


def build(tmp_path: Path, state: Any, arch: str = ARCH, **kwargs: Any) -> torch.nn.Module:
    torch.save(state, tmp_path / "some.pth")
    found = checkpoint.read(tmp_path / "some.pth")
    return architecture.build(found, arch, {**ONE, **kwargs}, ())


def test_a_wrong_architecture_is_told_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"not those of resnet10t: 6 unexpected .* 71 of another"
    ) as error:
        build(tmp_path, net().state_dict(), "resnet10t")
    assert "look like test_resnet: name it with --arch" in str(error.value)


@pytest.mark.parametrize("arch", ["efficientnet_b0", "resnet18"])
def test_a_wrong_architecture_is_told_before_its_channels_are_asked(
    arch: str, tmp_path: Path
) -> None:
    """Its first convolution is not there, or is another layer of these weights."""
    torch.save(net().state_dict(), tmp_path / "some.pth")
    with pytest.raises(InputError, match=r"missing .* look like test_resnet: name it with --arch"):
        architecture.read_shape(checkpoint.read(tmp_path / "some.pth"), arch)


def test_a_missing_tensor_is_a_hole(tmp_path: Path) -> None:
    state = net().state_dict()
    del state["fc.bias"]
    with pytest.raises(InputError, match=r"1 missing \(fc\.bias\)\. The body is right"):
        build(tmp_path, state)


def test_another_number_of_classes_is_a_hole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fc\.weight \[5, 96\] for \[1, 96\]"):
        build(tmp_path, net(num_classes=5).state_dict())


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 unexpected \(head2\.weight\)"):
        build(tmp_path, {**net().state_dict(), "head2.weight": torch.zeros(2, 2)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    state = net().state_dict()
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(InputError, match=r"layer1\.0\.conv1\.weight\): the training had diverged"):
        build(tmp_path, state)


def test_an_unknown_name_gets_near_ones(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "some.pth")
    with pytest.raises(UsageError, match=r"no model resnet50x.* resnet50"):
        architecture.read_shape(checkpoint.read(tmp_path / "some.pth"), "resnet50x")


def test_pretrained_weights_are_no_checkpoint(tmp_path: Path) -> None:
    torch.save(net(num_classes=1000).state_dict(), tmp_path / "some.pth")
    with pytest.raises(InputError, match="ImageNet"):
        architecture.read_shape(checkpoint.read(tmp_path / "some.pth"), ARCH)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("outputs", [1, 2])
def test_the_weights_tell_channels_and_outputs(channels: int, outputs: int, tmp_path: Path) -> None:
    torch.save(net(num_classes=outputs, in_chans=channels).state_dict(), tmp_path / "some.pth")
    shape = architecture.read_shape(checkpoint.read(tmp_path / "some.pth"), ARCH)
    assert (shape.channels, shape.outputs) == (channels, outputs)
    assert (shape.head is None) == (outputs > 1)


@pytest.mark.parametrize("arch", ["convnext_tiny", "tf_efficientnetv2_s", "vit_tiny_patch16_224"])
def test_timm_models_are_recognised_by_their_weights(arch: str) -> None:
    with torch.device("meta"):
        state = model.build(arch, {"num_classes": 3, "in_chans": 1}).state_dict()
    assert arch in architectures.name_likeliest(state)
    wrapped = {f"module.model.{key}": value for key, value in state.items()}
    assert arch in architecture.name_likely(wrapped)


def test_foreign_weights_are_not_recognised() -> None:
    assert architecture.name_likely({"my.layer.weight": torch.zeros(3, 3)}) == ""
