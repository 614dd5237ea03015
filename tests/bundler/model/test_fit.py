"""Every tensor of a file is used, or named and refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bundler.errors import InputError, UsageError
from bundler.model import architecture, checkpoint
from tests.bundler.model.checkpoints import ARCH, net

ONE = {"num_classes": 1, "in_chans": 1}
State = dict[str, torch.Tensor]


def build(tmp_path: Path, content: Any, *ignore: str) -> State:
    torch.save(content, tmp_path / "some.pth")
    found = checkpoint.read(tmp_path / "some.pth")
    return dict(architecture.build(found, ARCH, ONE, (), ignore=ignore).state_dict())


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


# What is beside the network, the words of the refusal, and the patterns that leave it out.
BESIDE: dict[str, tuple[Callable[[State], Any], str, tuple[str, ...]]] = {
    "a loss": (
        lambda state: {
            "state_dict": {**under("model.", state), "criterion.pos_weight": torch.ones(1)}
        },
        r"1 unexpected \(criterion\.pos_weight\)\. Every tensor .* --ignore 'criterion\.\*'",
        ("criterion.*",),
    ),
    "a second head": (
        lambda state: {**under("model.", state), "head2.weight": torch.ones(2, 96)},
        r"1 unexpected \(head2\.weight\)",
        ("head2.*",),
    ),
    "a head of its own key": (
        lambda state: {
            "model": state,
            "head": {"weight": torch.ones(1, 96), "bias": torch.ones(1)},
        },
        r"2 unexpected \(head\.bias, head\.weight\)",
        ("head.*",),
    ),
    "a pooling's exponent beside the weights": (
        lambda state: {"model": state, "gem_p": torch.full((1,), 3.0)},
        r"1 unexpected \(gem_p\)",
        ("gem_p",),
    ),
    "a head that was not averaged": (
        lambda state: {
            "state_dict": {
                **under("ema_model.module.", state),
                **under("model.", state),
                "dense.weight": torch.ones(1, 96),
            }
        },
        r"1 unexpected \(dense\.weight\)",
        ("dense.*",),
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_lies_beside_the_network_is_refused_unless_it_is_ignored(
    what: str, tmp_path: Path
) -> None:
    plant, message, patterns = BESIDE[what]
    content = plant(dict(net().state_dict()))
    with pytest.raises(InputError, match=message):
        build(tmp_path, content)
    made = build(tmp_path, content, *patterns)
    assert torch.equal(made["fc.weight"], net().state_dict()["fc.weight"])


def test_what_training_keeps_and_second_copies_are_no_rest(tmp_path: Path) -> None:
    state = dict(net().state_dict())
    raw = {name: torch.zeros_like(value) for name, value in state.items()}
    content = {
        "model": raw,
        "ema": under("module.", state),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []},
        "best_score": torch.tensor(0.5),
        "oof_preds": torch.rand(10),
        "rng_state": torch.zeros(5, dtype=torch.uint8),
    }
    made = build(tmp_path, content)
    assert torch.equal(made["fc.weight"], state["fc.weight"])


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--ignore 'critreion\.\*' matches no tensor"):
        build(tmp_path, net().state_dict(), "critreion.*")


def test_what_the_network_needs_cannot_be_ignored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 missing \(fc\.bias, fc\.weight\)"):
        build(tmp_path, net().state_dict(), "fc.*")


ODD: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "meta": (lambda value: value.to("meta"), "hold no numbers"),
    "int8": (lambda value: (value * 100).to(torch.int8), r"are int8 \(fc\.weight\): quantised"),
    "quantised": (
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        "quantised weights|would run",
    ),
    "complex": (lambda value: value.to(torch.complex64), "are complex numbers"),
    "NaN": (lambda value: value * float("nan"), "the training had diverged"),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_without_usable_numbers_are_refused(what: str, tmp_path: Path) -> None:
    change, message = ODD[what]
    state = dict(net().state_dict())
    with pytest.raises(InputError, match=message):
        build(tmp_path, {**state, "fc.weight": change(state["fc.weight"])})


def test_sparse_tensors_are_used_as_they_are(tmp_path: Path) -> None:
    state = dict(net().state_dict())
    made = build(tmp_path, {**state, "fc.weight": state["fc.weight"].to_sparse()})
    assert torch.equal(made["fc.weight"], state["fc.weight"])


def test_a_huge_declared_shape_is_never_made(tmp_path: Path) -> None:
    state = dict(net().state_dict())
    with pytest.raises(InputError, match=r"1 of another shape \(fc\.weight \[1000000000000, 96\]"):
        build(tmp_path, {**state, "fc.weight": torch.zeros(1).expand(10**12, 96)})


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    state = {**net().state_dict(), "x\x1b[2J.weight": torch.ones(2)}
    with pytest.raises(InputError, match=r"x\\x1b\[2J\.weight") as refused:
        build(tmp_path, state)
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("name", ["a\x1b[31m.pth", "a\nb.pth", "a\\b.pth", "\udcff.pth"])
def test_a_file_name_that_cannot_be_recorded_is_refused(name: str, tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "some.pth")
    (tmp_path / "some.pth").rename(tmp_path / name)
    with pytest.raises(InputError, match="cannot keep its name in a bundle"):
        checkpoint.read(tmp_path / name)
