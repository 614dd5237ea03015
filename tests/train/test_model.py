"""The network takes raw uint8 images: nobody else knows about normalisation."""

import pytest
import torch

from train import model
from train.checkpoint import Normalize
from train.errors import ConfigError

KWARGS = {"num_classes": 3, "in_chans": 1}


def test_normalisation_is_part_of_the_network():
    torch.manual_seed(0)
    net = model.build("test_resnet", KWARGS).eval()
    images = torch.randint(0, 256, (2, 1, 64, 48), dtype=torch.uint8)
    classifier = model.Classifier(net, Normalize(mean=(0.4,), std=(0.2,), scale=1 / 255), 1).eval()
    with torch.inference_mode():
        expected = net((images.float() / 255 - 0.4) / 0.2)
        torch.testing.assert_close(classifier(images), expected)
        # A float image of 0 … 255 is the same image.
        torch.testing.assert_close(classifier(images.float()), expected)


def test_three_channels_are_the_grey_one_thrice():
    net = model.build("test_resnet", KWARGS | {"in_chans": 3}).eval()
    classifier = model.Classifier(net, model.IMAGENET, 3).eval()
    images = torch.randint(0, 256, (2, 1, 64, 48), dtype=torch.uint8)
    with torch.inference_mode():
        pixels = (images.float() / 255 - 0.449) / 0.226
        torch.testing.assert_close(classifier(images), net(pixels.repeat(1, 3, 1, 1)))


def test_the_table_is_heard():
    columns = ("age", "view")
    net = model.build("test_resnet", KWARGS, columns).eval()
    classifier = model.Classifier(net, model.IMAGENET, 1).eval()
    images = torch.zeros((2, 1, 64, 48), dtype=torch.uint8)
    table = torch.tensor([[0.0, 0, 1, 0, 0], [1.5, 1, 0, 1, 0]])
    with torch.inference_mode():
        first, second = classifier(images, table)
    assert first.shape == (3,)
    assert not torch.allclose(first, second)


def test_an_unknown_architecture_is_refused_with_near_ones():
    with pytest.raises(ConfigError, match="convnext_small"):
        model.build("convnext_smal", KWARGS)
