"""What is neither in the file nor on the command line is asked for, never assumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bundler.errors import InputError, UsageError
from bundler.model import checkpoint, recipe
from inference.pixels.preprocess import PRESETS
from tests.bundler.model.checkpoints import ARCH, NORMALIZE, TOLD, net, options, save


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A state_dict that says nothing of itself."""
    path = tmp_path / "weights.pth"
    torch.save(net().state_dict(), path)
    return path


def resolve(path: Path, **changes: Any) -> tuple[recipe.Recipe, float]:
    return recipe.resolve(checkpoint.read(path), options(path, **changes).training)


def test_asks_for_all_that_is_missing_at_once(bare: Path) -> None:
    with pytest.raises(UsageError) as error:
        resolve(bare)
    for option in ("--arch", "--preset", "--mean", "--std", "--scale", "--prevalence"):
        assert f"  {option}: " in str(error.value)
    assert f"its weights look like {ARCH}" in str(error.value)
    assert "--in-chans" not in str(error.value)  # the weights tell


@pytest.mark.parametrize("left_out", ["arch", "preset", "mean", "std", "scale", "prevalence"])
def test_asks_for_each(left_out: str, bare: Path) -> None:
    told = {name: value for name, value in TOLD.items() if name != left_out}
    with pytest.raises(UsageError, match=f"--{left_out}: "):
        resolve(bare, **told)


def test_takes_what_it_is_told(bare: Path) -> None:
    how, prevalence = resolve(bare, **TOLD)
    assert how.preprocess == PRESETS["baseline-512"]
    assert how.normalize == NORMALIZE
    assert (how.channels, how.head, prevalence) == (1, "sigmoid:0", 0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arch", "resnet50"),
        ("preset", "roi-1024x512"),
        ("mean", (0.5,)),
        ("scale", 1.0),
        ("in_chans", 3),
        ("prevalence", 0.5),
    ],
)
def test_two_answers_that_differ_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "ours.pt")
    resolve(path)
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is .* was trained with"):
        resolve(path, **{name: value})


def test_an_answer_given_twice_is_fine(tmp_path: Path) -> None:
    how, _ = resolve(save(tmp_path / "ours.pt"), arch=ARCH, mean=(0.4,), scale=1 / 255)
    assert how.arch == ARCH


def test_two_outputs_need_a_head(tmp_path: Path) -> None:
    path = tmp_path / "two.pth"
    torch.save(net(num_classes=2).state_dict(), path)
    with pytest.raises(UsageError, match=r"--head: it has 2 outputs: .* softmax"):
        resolve(path, **TOLD)
    for head in ("softmax", "sigmoid:1"):
        assert resolve(path, **TOLD, head=head)[0].head == head
    for head in ("sigmoid:2", "sigmoid", "tanh"):
        with pytest.raises(UsageError, match=r"does not fit .* 2 outputs"):
            resolve(path, **TOLD, head=head)


def test_softmax_wants_two_outputs(tmp_path: Path) -> None:
    path = tmp_path / "five.pth"
    torch.save(net(num_classes=5).state_dict(), path)
    with pytest.raises(UsageError, match="5 outputs"):
        resolve(path, **TOLD, head="softmax")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", (0.1, 0.2)),
        ("mean", (float("nan"),)),
        ("std", (0.0,)),
        ("prevalence", 1.5),
        ("preset", "best"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: Any, bare: Path) -> None:
    with pytest.raises(UsageError, match=name):
        resolve(bare, **{**TOLD, name: value})


def test_a_preprocessing_of_the_future_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "ours.pt", preprocess={"version": 99, "size": [64, 64]})
    with pytest.raises(InputError, match="version is 99"):
        resolve(path)


def test_vision_transformers_get_the_size_of_their_images(tmp_path: Path) -> None:
    path = tmp_path / "vit.pth"
    with torch.device("meta"):
        state = net("vit_tiny_patch16_224", img_size=(1024, 512)).state_dict()
    torch.save({key: torch.zeros(value.shape) for key, value in state.items()}, path)
    told = {**TOLD, "arch": "vit_tiny_patch16_224", "preset": "roi-1024x512"}
    how, _ = resolve(path, **told)
    assert how.model_kwargs["img_size"] == [1024, 512]


def test_recipes_that_differ_say_where(tmp_path: Path) -> None:
    how, _ = resolve(save(tmp_path / "ours.pt"))
    assert how.differences(replace(how, head="softmax", channels=3)) == ["channels", "head"]
    assert how.differences(how) == []
