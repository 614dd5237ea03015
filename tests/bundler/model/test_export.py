"""One checkpoint → one bundle whose ONNX says what torch said."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bundler.errors import InputError, UsageError
from bundler.model import export
from inference import predict
from inference.boot import bundle as reader
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, net, options, save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("run") / "fold0_epoch02_vpfbeta0.504.pt")


@pytest.fixture(scope="module")
def place(checkpoint: Path) -> Path:
    built = export.build(options(checkpoint), checkpoint.parent / "bundle")
    assert built.changed
    return built.bundle.folder


def test_bundle_says_where_the_model_came_from(place: Path) -> None:
    (entry,) = reader.verify(place).details["models"]
    assert entry["checkpoints"][0]["name"] == "fold0_epoch02_vpfbeta0.504.pt"
    assert entry["checkpoints"][0]["epoch"] == 2
    assert entry["preprocess"]["size"] == list(SIZE)
    assert entry["threshold"] == 0.5
    assert entry["parity"]["probability_max"] <= 1e-4


def test_onnx_answers_as_the_network_does(place: Path) -> None:
    (model,) = predict.load(reader.read(place), "cpu")
    images = np.random.default_rng(5).integers(0, 256, (3, *SIZE), dtype=np.uint8)
    pixels = (torch.from_numpy(images[:, None]).float() * NORMALIZE["scale"] - 0.4) / 0.2
    with torch.inference_mode():
        expected = torch.sigmoid(net()(pixels))[:, 0].numpy()
    assert np.ptp(expected) > 1e-3  # three answers, not one
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-4)
    np.testing.assert_allclose(model.predict(images[:1]), expected[:1], atol=1e-4)


def test_onnx_tells_nothing_of_the_machine_that_wrote_it(place: Path) -> None:
    content = (place / "model.onnx").read_bytes()
    for trace in (b".py", b"site-packages", b"/home", b"/tmp", b"stack_trace", b"Folds"):
        assert trace not in content


def test_equal_input_gives_an_equal_bundle(checkpoint: Path, place: Path, tmp_path: Path) -> None:
    again = export.build(options(checkpoint), tmp_path / "again")
    assert again.bundle.id == reader.read(place).id


def test_a_binary_output_asks_for_a_threshold(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--threshold"):
        export.build(options(checkpoint, threshold=None), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pt cannot be read: No such file"):
        export.build(options(tmp_path / "none.pt"), tmp_path / "bundle")
