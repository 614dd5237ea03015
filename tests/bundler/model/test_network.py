"""What is exported computes what training computed, written out by hand."""

import numpy as np
import pytest
import torch

from bundler.model.network import Folds
from tests.bundler.model.checkpoints import net
from train.checkpoint import Normalize

IMAGES = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 1, 96, 64), np.uint8))


def test_three_channels_with_a_mean_each_and_a_softmax() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    bare = net(num_classes=2, in_chans=3)
    normalize = Normalize(mean=tuple(mean), std=tuple(std), scale=1 / 255)
    folds = Folds([bare], normalize=normalize, channels=3, head="softmax")
    colour = IMAGES.repeat(1, 3, 1, 1).float() / 255
    pixels = (colour - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        probability, each, logits = folds(IMAGES)
        torch.testing.assert_close(probability, bare(pixels).softmax(1)[:, 1])
    torch.testing.assert_close(torch.sigmoid(logits), each)


@pytest.mark.parametrize("index", [0, 2])
def test_the_cancer_output_among_others(index: int) -> None:
    bare = net(num_classes=3)
    normalize = Normalize(mean=(0.0,), std=(1.0,), scale=1.0)  # trained on 0 to 255
    folds = Folds([bare], normalize=normalize, channels=1, head=f"sigmoid:{index}")
    with torch.inference_mode():
        probability, _, _ = folds(IMAGES)
        torch.testing.assert_close(probability, bare(IMAGES.float()).sigmoid()[:, index])
