"""Presets and files as starting points, and what the options change."""

from dataclasses import fields
from pathlib import Path

import pytest

from bundler.errors import InputError, UsageError
from bundler.model import preprocessing
from bundler.model.options import PRESET_NAMES, PreprocessChanges, Training
from inference.boot.card import Preprocess
from inference.pixels.preprocess import PRESETS, PreprocessConfig

ROI = PRESETS["roi-1024x512"]


def test_every_field_can_be_changed() -> None:
    assert {one.name for one in fields(PreprocessChanges)} == {
        one.name for one in fields(Preprocess)
    }


def test_help_names_every_preset() -> None:
    assert tuple(PRESETS) == PRESET_NAMES


def test_a_preset_is_changed() -> None:
    changes = PreprocessChanges(size=(64, 32), window="min-max", fit="stretch")
    config = preprocessing.named(Training(preset="roi-1024x512", preprocessing=changes), None)
    assert config == PreprocessConfig(size=(64, 32), window="min-max", fit="stretch")
    assert preprocessing.named(Training(preset="roi-1024x512"), None) == ROI
    assert preprocessing.named(Training(), ROI) is None


def test_what_the_checkpoint_records_is_the_start_where_there_is_no_preset() -> None:
    training = Training(preprocessing=PreprocessChanges(crop_margin=0.5))
    config = preprocessing.named(training, ROI)
    assert config == PreprocessConfig(size=(1024, 512), crop_margin=0.5)
    with pytest.raises(UsageError, match=r"--crop-margin changes a preset\. Name the one to start"):
        preprocessing.named(training, None)


def test_nonsense_is_refused_by_name() -> None:
    changes = PreprocessChanges(percentiles=(99, 1))
    with pytest.raises(UsageError, match=r"--percentiles: .*percentiles is \(99, 1\)"):
        preprocessing.named(Training(preset="roi-1024x512", preprocessing=changes), None)
    with pytest.raises(UsageError, match=r"Unknown preset 'roi'"):
        preprocessing.named(Training(preset="roi"), None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'size = [96, 64]\nreduce = "bilinear"\n'),
        ("a.json", '{"size": [96, 64], "reduce": "bilinear"}'),
    ],
)
def test_a_file_is_a_start(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    training = Training(preset=str(tmp_path / name), preprocessing=PreprocessChanges(flip="none"))
    expected = PreprocessConfig(size=(96, 64), reduce="bilinear", flip="none")
    assert preprocessing.named(training, None) == expected


@pytest.mark.parametrize("text", ["size = [96, 64]\nsharpen = 1", "size =", "crop = 'none'"])
def test_a_wrong_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.toml"):
        preprocessing.named(Training(preset=str(path)), None)
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        preprocessing.named(Training(preset=str(tmp_path / "none.toml")), None)
