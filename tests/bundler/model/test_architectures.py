"""Architectures that are proven: exported for images that are not square, and verified."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from bundler.model import export
from inference import predict
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.golden import Replayed
from inference.predict import Model
from tests.bundler.model.checkpoints import SIZE, net, options, save

Replay = Callable[[Bundle, Sequence[Model]], Replayed]
# In one and in three channels by turns; the first of them in both.
ARCHITECTURES = [
    ("tf_efficientnetv2_s", 1),
    ("tf_efficientnetv2_s", 3),
    ("efficientnet_b0", 3),
    ("efficientnet_b4", 1),
    ("convnext_small", 3),
    ("convnext_tiny", 1),
    ("seresnext50_32x4d", 3),
    ("resnet50", 1),
    ("nextvit_small", 3),
    ("vit_tiny_patch16_224", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "channels"), ARCHITECTURES)
def test_answers_in_onnx_as_in_torch(
    arch: str, channels: int, replay: Replay, tmp_path: Path
) -> None:
    kwargs = {"num_classes": 1, "in_chans": channels}
    if arch.startswith("vit"):
        kwargs["img_size"] = list(SIZE)
    path = save(tmp_path / "a.pt", arch=arch, model_kwargs=kwargs)
    built = export.build(options(path), tmp_path / "bundle")
    bundle = reader.verify(built.bundle.folder)
    (models,) = predict.load(bundle, "cpu")
    replay(bundle, models)
    images = np.random.default_rng(3).integers(0, 256, (3, *SIZE), dtype=np.uint8)
    pixels = (torch.from_numpy(images[:, None]).float() / 255 - 0.4) / 0.2
    bare = net(arch, **kwargs)
    with torch.inference_mode():
        expected = bare(pixels.expand(-1, channels, -1, -1)).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(models[0].predict(images), expected, atol=1e-4)


def test_a_model_that_is_told_the_table_takes_it(replay: Replay, tmp_path: Path) -> None:
    columns = ["age", "view"]
    state = net(metadata_columns=columns).state_dict()
    path = save(tmp_path / "a.pt", metadata_columns=columns, model=state)
    built = export.build(options(path), tmp_path / "bundle")
    bundle = reader.verify(built.bundle.folder)
    (models,) = predict.load(bundle, "cpu")
    replay(bundle, models)
    assert list(models[0].metadata_columns) == columns
    images = np.random.default_rng(3).integers(0, 256, (2, *SIZE), dtype=np.uint8)
    told = np.array([[0.5, 1, 1, 0, 0], [0, 0, 0, 1, 0]], dtype=np.float32)
    pixels = (torch.from_numpy(images[:, None]).float() / 255 - 0.4) / 0.2
    with torch.inference_mode():
        answer = net(metadata_columns=columns)(pixels, torch.from_numpy(told)).sigmoid()[:, 0]
    found = models[0].predict(images, told)
    np.testing.assert_allclose(found, answer.numpy(), atol=1e-4)
    assert not np.allclose(found, models[0].predict(images, told[::-1].copy()), atol=1e-4)
