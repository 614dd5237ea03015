"""Fold, epoch and metrics of weights: from names, safetensors' header, and tables beside them."""

import json
from pathlib import Path

import pytest

from bundler.model import files_card, scores, tree
from inference.boot.manifest import Weights
from tests.bundler.model.model_trees import build, fill, nnunet


def known(*paths: Path) -> dict[str, Weights]:
    return {one.name: one for one in scores.describe(tree.scan(paths))}


def test_reads_names(tmp_path: Path) -> None:
    path = fill(tmp_path / "model_fold1_epoch49_vacc0.545.pth", 10)
    expected = Weights(name=path.name, fold=1, epoch=49, metrics={"vacc": 0.545})
    assert known(path) == {path.name: expected}


def test_takes_the_fold_of_the_nearest_folder(tmp_path: Path) -> None:
    fill(tmp_path / "fold9" / "fold_3" / "best.pth", 10)
    fill(tmp_path / "fold9" / "fold_3" / "fold4.pth", 10)
    folds = {one.name: one.fold for one in known(tmp_path / "fold9").values()}
    assert folds == {"fold9/fold_3/best.pth": 3, "fold9/fold_3/fold4.pth": 4}


def test_reads_nnunets_validation_for_the_last_weights_alone(tmp_path: Path) -> None:
    found = known(nnunet(tmp_path, folds=2))
    scores = {(one.fold, Path(name).name): one.metrics for name, one in found.items()}
    assert scores == {
        (0, "checkpoint_final.pth"): {"dice": 0.8},
        (0, "checkpoint_best.pth"): {},
        (1, "checkpoint_final.pth"): {"dice": 0.81},
        (1, "checkpoint_best.pth"): {},
    }


def test_reads_the_state_of_hugging_faces_trainer(tmp_path: Path) -> None:
    fill(tmp_path / "run" / "model.safetensors", 10)
    state = {"epoch": 3.0, "best_metric": 0.91, "global_step": 500}
    (tmp_path / "run" / "trainer_state.json").write_text(json.dumps(state))
    (one,) = known(tmp_path / "run").values()
    assert (one.epoch, one.metrics) == (3, {"best_metric": 0.91})


def test_reads_the_header_of_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    metadata = {"format": "pt", "fold": "2", "epoch": "7", "val_auc": "0.93", "step": "100"}
    path = tmp_path / "weights.safetensors"
    save_file({"w": torch.zeros(3)}, path, {**metadata, "metrics": '{"f1": 0.5}'})
    (one,) = known(path).values()
    assert (one.fold, one.epoch, one.metrics) == (2, 7, {"val_auc": 0.93, "f1": 0.5})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\x02\0\0\0\0\0\0\0[]",
        (20).to_bytes(8, "little") + b'{"__metadata__": [1]}',
        (2 << 20).to_bytes(8, "little") + b"[" * (2 << 20),
        (60).to_bytes(8, "little")
        + b'{"__metadata__": {"fold": "-1", "auc": "nan", "epoch": 1e99}}',
    ],
)
def test_a_broken_header_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    assert known(tmp_path / "weights.safetensors") == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"foreground_mean": 3}', '{"epoch": []}'])
def test_a_broken_table_says_nothing(tmp_path: Path, text: str) -> None:
    fill(tmp_path / "run" / "checkpoint_final.pth", 10)
    (tmp_path / "run" / "validation").mkdir()
    (tmp_path / "run" / "validation" / "summary.json").write_text(text)
    (tmp_path / "run" / "trainer_state.json").write_text(text)
    assert known(tmp_path / "run") == {}


def test_show_lists_what_is_known(tmp_path: Path) -> None:
    built = build(nnunet(tmp_path, folds=3), out=tmp_path / "model")
    header, *rows = files_card.render(built.bundle).splitlines()
    assert header.split() == ["file", "size", "sha256", "fold", "epoch", "dice"]
    row = next(row for row in rows if "fold_2/checkpoint_final.pth" in row).split()
    assert row[1:3] == ["0.2", "MB"]
    assert row[4:] == ["2", "0.82"]
    assert rows[-1].endswith("unpacked on the notebook")
    listed = files_card.as_dict(built.bundle)["files"]
    assert isinstance(listed, list)
    assert len(listed) == 3 * 24 + 1
