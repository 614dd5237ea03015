"""Averaged and raw weights in one file, and what lies beside them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bundler.errors import UsageError
from bundler.model import checkpoint
from tests.bundler.model.checkpoints import net, save

RAW = {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}
EMA = {name: tensor + 1 for name, tensor in RAW.items()}


def both(**more: Any) -> dict[str, Any]:
    return {"state_dict": RAW, **more}


FILES = {
    "under a key": both(model_ema=EMA),
    "of a helper": both(ema={"module": EMA, "decay": 0.99}),
    "its shadow": both(ema={"shadow": EMA}),
    "in one state_dict": {
        "state_dict": {
            **{f"model.{name}": tensor for name, tensor in RAW.items()},
            **{f"ema_model.module.{name}": tensor for name, tensor in EMA.items()},
            "ema_model.n_averaged": torch.tensor(3),
        }
    },
}


@pytest.mark.parametrize("name", FILES)
def test_either_kind_can_be_chosen(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(FILES[name], path)
    averaged = checkpoint.read(path)
    assert (averaged.weights, averaged.other_weights) == ("ema", "state_dict")
    assert float(averaged.state["fc.bias"][0]) == 1
    raw = checkpoint.read(path, weights="raw")
    assert (raw.weights, raw.source) == ("raw", "state_dict")
    assert raw.other_weights == averaged.source
    assert {float(tensor.sum()) for tensor in raw.state.values()} == {0.0}
    assert len(raw.state) == 2


def test_our_own_format_is_chosen_from_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", ema=net(seed=1).state_dict())
    raw, averaged = (checkpoint.read(path, weights=kind) for kind in ("raw", "ema"))
    assert (raw.source, raw.other_weights) == ("model", "ema")
    assert not torch.equal(raw.state["fc.weight"], averaged.state["fc.weight"])


def test_a_kind_that_is_not_there_is_refused(tmp_path: Path) -> None:
    torch.save(both(), tmp_path / "a.pth")
    with pytest.raises(
        UsageError, match=r"a\.pth holds no averaged \(EMA\) weights, only raw ones"
    ):
        checkpoint.read(tmp_path / "a.pth", weights="ema")
    # A branch of a network that is called so is no average of the rest.
    torch.save({"ema.weight": torch.ones(2), "fc.bias": torch.ones(2)}, tmp_path / "b.pth")
    assert checkpoint.read(tmp_path / "b.pth").weights == "raw"


def test_scores_are_read_at_the_top_and_settings_are_not(tmp_path: Path) -> None:
    content = both(epoch=3, best_auc=0.9, lr=0.1, step=7, seed=42, best_threshold=0.4, name="x")
    torch.save(content, tmp_path / "a.pth")
    assert checkpoint.read(tmp_path / "a.pth").metrics == {"best_auc": 0.9}
    content = both(metrics={"val_loss": torch.tensor(0.5), "lr": 0.1, "foo": 1}, config={"fold": 4})
    torch.save(content, tmp_path / "b.pth")
    found = checkpoint.read(tmp_path / "b.pth")
    assert (found.fold, found.metrics) == (4, {"val_loss": 0.5, "foo": 1.0})


def test_lightnings_own_score_is_read(tmp_path: Path) -> None:
    states = {"ModelCheckpoint": {"monitor": "val_auc", "current_score": torch.tensor(0.75)}}
    torch.save(both(callbacks=states), tmp_path / "a.ckpt")
    assert checkpoint.read(tmp_path / "a.ckpt").metrics == {"val_auc": 0.75}


def test_safetensors_metadata_are_read(tmp_path: Path) -> None:
    metadata = {"fold": "2", "epoch": "7", "val_auc": "0.93", "step": "100", "arch": "resnet18"}
    save_file(RAW, tmp_path / "a.safetensors", {**metadata, "metrics": '{"f1": 0.5, "lr": 0.1}'})
    found = checkpoint.read(tmp_path / "a.safetensors")
    assert (found.fold, found.epoch, found.arch) == (2, 7, "resnet18")
    assert found.metrics == {"val_auc": 0.93, "f1": 0.5}
