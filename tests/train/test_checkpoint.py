"""Checkpoints: what is saved is what is read, and nothing pickled is trusted."""

import pickle
import resource
from dataclasses import fields, replace

import pytest
import torch

from inference.pixels.preprocess import PreprocessConfig
from train import checkpoint, model
from train.checkpoint import Checkpoint
from train.errors import DataError, StorageError


@pytest.fixture(scope="module")
def made() -> Checkpoint:
    kwargs = {"num_classes": 1, "in_chans": 1}
    torch.manual_seed(0)
    net = model.build("test_resnet", kwargs)
    return Checkpoint(
        model=net.state_dict(),
        ema=None,
        arch="test_resnet",
        model_kwargs=kwargs,
        preprocess=PreprocessConfig(size=(64, 48)),
        normalize=model.IMAGENET,
        metadata_columns=(),
        fold=0,
        epoch=2,
        metrics={"pfbeta": 0.50351},
        prevalence=0.02,
        run_id="abc",
        commit="0" * 40,
        dirty=False,
        config={"trainer": {"epochs": 3}},
    )


def test_a_checkpoint_comes_back(made, tmp_path):
    path = tmp_path / checkpoint.file_name(made, "pfbeta")
    assert path.name == "fold0_epoch02_vpfbeta0.504.pt"
    checkpoint.save(path, made)
    found = checkpoint.load(path)
    for field in fields(Checkpoint):
        if field.name != "model":
            assert getattr(found, field.name) == getattr(made, field.name), field.name
    images = torch.randint(0, 256, (2, 1, 64, 48), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model.restore(found)(images), model.restore(made)(images))


def test_ema_weights_are_what_predicts(made, tmp_path):
    average = {name: value * 0 for name, value in made.model.items()}
    network = model.restore(replace(made, ema=average))
    assert all(not value.any() for value in network.net.state_dict().values())


def test_weights_alone_bear_timms_names(made):
    from train.timm_import import timm

    timm.create_model("test_resnet", num_classes=1, in_chans=1).load_state_dict(dict(made.model))


def test_what_is_no_checkpoint_is_refused(made, tmp_path):
    with pytest.raises(DataError, match="no checkpoint"):
        checkpoint.load(tmp_path / "absent.pt")
    whole = tmp_path / "whole.pt"
    checkpoint.save(whole, made)
    for name, content in {
        "short.pt": whole.read_bytes()[:-2000],
        "empty.pt": b"",
        "text.pt": b"not a checkpoint",
        "pickle.pt": pickle.dumps(ValueError("code"), protocol=2),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            checkpoint.load(tmp_path / name)
    torch.save({"format": 2}, tmp_path / "newer.pt")
    with pytest.raises(DataError, match="format 2"):
        checkpoint.load(tmp_path / "newer.pt")
    torch.save({"format": 1, "model": {}}, tmp_path / "bare.pt")
    with pytest.raises(DataError, match="lacks the field ema, arch"):
        checkpoint.load(tmp_path / "bare.pt")
    with pytest.raises(DataError, match="do not fit test_resnet"):
        model.restore(replace(made, model={}))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"format": 1, "model": Code()}, tmp_path / "evil.pt")
    with pytest.raises(DataError, match="not trusted"):
        checkpoint.load(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_leaves_the_previous_checkpoint(made, tmp_path):
    path = tmp_path / "fold0.pt"
    checkpoint.save(path, made)
    before = path.read_bytes()

    # The kernel refuses to write beyond this many bytes, as it does on a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="What was there before is untouched"):
            checkpoint.save(path, replace(made, epoch=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["fold0.pt"]


def test_what_is_not_plain_is_not_saved(made, tmp_path):
    with pytest.raises(TypeError, match="not object"):
        checkpoint.save(tmp_path / "odd.pt", replace(made, config={"a": object()}))
    assert not list(tmp_path.iterdir())
