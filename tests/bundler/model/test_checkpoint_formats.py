"""Checkpoints that were written once and are read for ever: `data/` is never written anew.

`format1*.pt` were saved by the first version that knew the format, the others by torch and
safetensors as other projects save them; all hold the same three tensors.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bundler.errors import InputError
from bundler.model import checkpoint
from inference.pixels.preprocess import PreprocessConfig
from train import checkpoint as schema
from train.checkpoint import Normalize
from train.errors import DataError

DATA = Path(__file__).with_name("data")
NAMES = {"conv1.weight", "fc.weight", "fc.bias"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is known of a file of another project's; its first weight is 1, averaged 2."""

    source: str = ""
    arch: str | None = None
    fold: int | None = None
    epoch: int | None = None
    first: float = 1.0
    prefix: str = ""


OTHERS = {
    "before-torch-1.6.pth": Expected(),
    "ema.pth": Expected(source="ema", fold=1, epoch=2, first=2.0, prefix="module."),
    "lightning.ckpt": Expected(source="state_dict", arch="test_resnet", epoch=2, prefix="model."),
    "model_state_dict.pth": Expected(source="model_state_dict", fold=1, epoch=2),
    "state_dict_fold1_epoch2_auc0.7.pth": Expected(fold=1, epoch=2),
    "timm.pth.tar": Expected(source="state_dict", arch="test_resnet", epoch=2),
    "weights.safetensors": Expected(),
}
OURS = ("format1.pt", "format1-ema.pt")
REFUSED = {"format2.pt": "is of format 2; this version reads format 1 only"}


def test_every_file_is_tried() -> None:
    assert {path.name for path in DATA.iterdir()} == {*OTHERS, *OURS, *REFUSED}


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoints_of_others(name: str) -> None:
    expected = OTHERS[name]
    found = checkpoint.read(DATA / name)
    assert not found.ours
    assert (found.source, found.arch) == (expected.source, expected.arch)
    assert (found.fold, found.epoch) == (expected.fold, expected.epoch)
    assert {expected.prefix + tensor for tensor in NAMES} <= found.state.keys()
    weight = found.state[f"{expected.prefix}conv1.weight"]
    assert torch.equal(weight, torch.full((2, 1, 3, 3), expected.first))


@pytest.mark.parametrize("mapped", [False, True])
def test_format_1(mapped: bool) -> None:
    found = checkpoint.read(DATA / "format1.pt", mapped=mapped)
    assert (found.ours, found.source, found.arch) == (True, "model", "test_resnet")
    assert found.state.keys() == NAMES
    assert found.model_kwargs == {"num_classes": 1, "in_chans": 1}
    assert found.preprocess == PreprocessConfig(version=1, size=(96, 64))
    assert found.normalize == Normalize(mean=(0.449,), std=(0.226,), scale=1 / 255)
    assert found.metadata_columns == ("age",)
    assert (found.fold, found.epoch) == (1, 2)
    assert found.metrics == {"pfbeta": 0.504}  # its roc_auc is NaN
    assert (found.prevalence, found.run_id) == (0.0206, "0f5c")
    assert found.commit == "0123456789abcdef0123456789abcdef01234567"
    assert found.dirty is False


def test_format_1_with_averaged_weights_and_no_commit() -> None:
    found = checkpoint.read(DATA / "format1-ema.pt")
    assert found.source == "ema"
    assert torch.equal(found.state["conv1.weight"], torch.full((2, 1, 3, 3), 2.0))
    assert (found.run_id, found.commit, found.dirty) == (None, None, None)


@pytest.mark.parametrize("name", OURS)
def test_the_training_reads_the_same(name: str, tmp_path: Path) -> None:
    """And what it writes of it is read as the same again: there is one schema."""
    whole = schema.load(DATA / name)
    assert whole.config == {"trainer": {"epochs": 3}, "seed": 0}
    found = checkpoint.read(DATA / name)
    assert (whole.preprocess, whole.normalize) == (found.preprocess, found.normalize)
    schema.save(tmp_path / name, whole)
    stored = [torch.load(path, weights_only=True) for path in (DATA / name, tmp_path / name)]
    assert [str(each) for each in stored[:1]] == [str(each) for each in stored[1:]]


@pytest.mark.parametrize("name", REFUSED)
def test_another_format_is_refused_by_both(name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        checkpoint.read(DATA / name)
    with pytest.raises(DataError, match=REFUSED[name]):
        schema.load(DATA / name)
