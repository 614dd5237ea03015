"""Reading what others saved, and refusing what is no checkpoint."""

import argparse
import contextlib
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from bundler.errors import InputError
from bundler.model import architecture, checkpoint
from tests.bundler.model.checkpoints import ARCH, net, save
from train import checkpoint as schema
from train.errors import DataError

State = dict[str, torch.Tensor]


def prefixed(prefix: str) -> Callable[[State], Any]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def lightning(state: State) -> Any:
    return {
        "epoch": 7,
        "global_step": 1200,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": prefixed("model.")(state),
        "hyper_parameters": {"model_name": ARCH, "lr": 1e-4},
        "optimizer_states": [{"state": {}, "param_groups": []}],
    }


def averaged(state: State) -> Any:
    zeros = {key: torch.zeros_like(value) for key, value in state.items()}
    ema = {"n_averaged": torch.tensor(9), **prefixed("module.")(state)}
    return {"model": zeros, "ema": ema, "metrics": {"auc": np.float64(0.7)}, "fold": 3}


SHAPES: dict[str, Callable[[State], Any]] = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "ema before model": averaged,
    "DataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "nested": prefixed("backbone."),
    "Lightning": lightning,
    "timm's": lambda state: {
        "arch": ARCH,
        "state_dict": state,
        "args": argparse.Namespace(lr=1e-3, model=ARCH),
    },
    "half precision": lambda state: {key: value.half() for key, value in state.items()},
}


def load(path: Path) -> State:
    """Read a file and return the weights of the network that it fills."""
    found = checkpoint.read(path)
    kwargs = {"num_classes": 1, "in_chans": 1}
    return architecture.build(found, ARCH, kwargs, ()).state_dict()


def assert_same(found: Mapping[str, torch.Tensor], tolerance: float = 0.0) -> None:
    for key, value in net().state_dict().items():
        torch.testing.assert_close(found[key], value, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_fills_the_network_whatever_the_weights_are_wrapped_in(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    torch.save(SHAPES[shape](net().state_dict()), path)
    assert_same(load(path), 1e-2 if shape == "half precision" else 0.0)


def test_reads_safetensors(tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in net().state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    assert_same(load(tmp_path / "model.safetensors"))


def test_reads_the_old_file_format(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(load(tmp_path / "old.pth"))


def test_reads_the_ema_weights_of_our_own(tmp_path: Path) -> None:
    ema = net(seed=1).state_dict()
    found = checkpoint.read(save(tmp_path / "a.pt", ema=ema))
    assert found.ours
    assert found.source == "ema"
    torch.testing.assert_close(found.state["fc.weight"], ema["fc.weight"])


def test_reads_what_the_file_says(tmp_path: Path) -> None:
    torch.save(lightning(net().state_dict()), tmp_path / "epoch=9-val_loss=0.5.ckpt")
    found = checkpoint.read(tmp_path / "epoch=9-val_loss=0.5.ckpt")
    assert (found.arch, found.epoch, found.fold) == (ARCH, 7, None)  # the file before its name
    assert found.metrics == {"val_loss": 0.5}
    torch.save(averaged(net().state_dict()), tmp_path / "fold0.pth")
    found = checkpoint.read(tmp_path / "fold0.pth")
    assert (found.fold, found.source, found.metrics) == (3, "ema", {"auc": 0.7})


# --- what is no checkpoint ---


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>Sign in</title></html>")


def cut(share: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch.save(net().state_dict(), path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return write


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.touch(), "is empty"),
    "html": (html, "is a web page"),
    "git-lfs": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "lfs"),
    "cut in half": (cut(0.5), r"archive: failed finding central directory\)\. It is cut short"),
    "a bare pickle": (
        lambda path: path.write_bytes(pickle.dumps(Path("weights"), protocol=4)),
        r"\(Unsupported operand 149\); nothing in it was run",
    ),
    "cut at the end": (cut(0.999), "cut short"),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 40), "cannot be read"),
    "text": (lambda path: path.write_text("epoch 49, very good\n"), "cannot be read"),
    "a whole module": (lambda path: torch.save(net(), path), "it was not run"),
    "optimizer only": (
        lambda path: torch.save({"optimizer": {"state": {}, "param_groups": []}}, path),
        "the optimizer's state and no weights",
    ),
    "no weights": (
        lambda path: torch.save({"epoch": 1}, path),
        r"no weights .* \(its keys: epoch\)",
    ),
    "a list": (lambda path: torch.save([torch.zeros(3)], path), "holds a list, not weights"),
    "format 1, incomplete": (
        lambda path: torch.save({"format": 1, "arch": "resnet50", "model": {}}, path),
        "lacks the field ema, model_kwargs",
    ),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", 5),
        ("model", {}),
        ("model['weight']", {"weight": "none"}),
        ("ema", [torch.zeros(1)]),
        ("arch", None),
        ("metrics", "good"),
        ("metrics.pfbeta", {"pfbeta": "high"}),
        ("fold", "first"),
        ("fold", True),
        ("epoch", 1.5),
        ("preprocess", "baseline-512"),
        ("normalize", [0.5, 0.5]),
        ("normalize", {"mean": 0.4, "std": 0.2}),
        ("normalize.mean", {"mean": "grey", "std": 0.2, "scale": 1 / 255}),
        ("normalize.scale", {"mean": 0.4, "std": 0.2, "scale": [1 / 255]}),
        ("prevalence", "natural"),
        ("metadata_columns[0]", [1]),
        ("metadata_columns", 5),
        ("model_kwargs.in_chans", {"in_chans": "one"}),
        ("model_kwargs.num_classes", {"num_classes": None}),
        ("run_id", 7),
        ("commit", 7),
        ("dirty", "no"),
        ("config", "none"),
    ],
)
def test_our_own_format_is_checked_by_type(name: str, value: Any, tmp_path: Path) -> None:
    """By the training's reader in the same words: both read by one schema."""
    field = re.split(r"[.\[]", name)[0]
    path = save(tmp_path / "a.pt", **{"model": net().state_dict(), field: value})
    message = rf"a\.pt cannot be used: the field {re.escape(name)} holds .*, not "
    with pytest.raises(InputError, match=message):
        checkpoint.read(path)
    with pytest.raises(DataError, match=message):
        schema.load(path)


@pytest.mark.parametrize("name", [field.name for field in fields(schema.Checkpoint)])
def test_a_field_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    content = torch.load(save(tmp_path / "a.pt"), weights_only=True)
    del content[name]
    torch.save(content, tmp_path / "a.pt")
    for read, error in ((checkpoint.read, InputError), (schema.load, DataError)):
        with pytest.raises(error, match=rf"a\.pt lacks the field {name}\."):
            read(tmp_path / "a.pt")


@pytest.mark.parametrize("number", [0, 2, "1", None, True])
def test_another_format_is_refused(number: Any, tmp_path: Path) -> None:
    """Not read as some stranger's, whose weights happen to lie under `model`."""
    content = torch.load(save(tmp_path / "a.pt"), weights_only=True)
    torch.save(content | {"format": number}, tmp_path / "a.pt")
    for read, error in ((checkpoint.read, InputError), (schema.load, DataError)):
        with pytest.raises(error, match=rf"is of format {number!r}; this version reads format 1"):
            read(tmp_path / "a.pt")


def test_a_strangers_format_field_is_no_claim(tmp_path: Path) -> None:
    content = {"format": "v2", "arch": ARCH, "model": net().state_dict(), "epoch": 3}
    torch.save(content, tmp_path / "a.pth")
    found = checkpoint.read(tmp_path / "a.pth")
    assert (found.ours, found.source, found.epoch) == (False, "model", 3)


def test_a_tar_is_named_like_any_other(tmp_path: Path) -> None:
    torch.save({"state_dict": net().state_dict()}, tmp_path / "model_fold1_auc0.9.pth.tar")
    read = checkpoint.read(tmp_path / "model_fold1_auc0.9.pth.tar")
    assert (read.fold, read.metrics) == (1, {"auc": 0.9})


def test_undefined_metrics_are_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", metrics={"pfbeta": 0.5, "roc_auc": float("nan")})
    assert checkpoint.read(path).metrics == {"pfbeta": 0.5}


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    """Never an error of ours, and never another one: a small checkpoint, damaged."""
    path = tmp_path / "damaged.pth"
    torch.save({"state_dict": {"fc.weight": torch.zeros(2, 2)}, "epoch": 3}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(InputError):
        checkpoint.read(path)


@pytest.mark.parametrize("what", BAD)
def test_refuses(what: str, tmp_path: Path) -> None:
    write, message = BAD[what]
    write(tmp_path / "bad.pth")
    for mapped in (False, True):
        with pytest.raises(InputError, match=message):
            checkpoint.read(tmp_path / "bad.pth", mapped=mapped)


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_runs_no_code_of_a_pickle(protocol: str, tmp_path: Path) -> None:
    content = {"state_dict": net().state_dict(), "extra": Evil(tmp_path / "owned")}
    path = tmp_path / "evil.pth"
    if protocol == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r"torch\.save\(\{'state_dict'"):
        checkpoint.read(path)
    assert not (tmp_path / "owned").exists()


def test_cut_safetensors_are_refused(tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in net().state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="safetensors"):
        checkpoint.read(path)
