"""The whole way: competition folder → checkpoint, oof.csv, metrics."""

import csv
import json

import numpy as np
import torch

from train import checkpoint, model
from train.outcome import OOF_COLUMNS


def test_a_run_leaves_what_the_contracts_ask_for(train, small, tmp_path, competition):
    train(*small)
    out = tmp_path / "runs" / "demo"
    found = list(out.glob("fold0_epoch*_vpfbeta*.pt"))
    assert len(found) == 1
    saved = checkpoint.load(found[0])
    assert saved.arch == "test_resnet"
    assert saved.preprocess["size"] == [96, 64]
    assert set(saved.normalize) == {"mean", "std", "scale"}
    assert f"fold0_epoch{saved.epoch:02d}_vpfbeta{saved.metrics['pfbeta']:.3f}.pt" == found[0].name

    with (out / "oof.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == OOF_COLUMNS
    assert {row["fold"] for row in rows} == {"0"}
    assert {row["prediction_id"] for row in rows} < set(competition.train)
    for row in rows:
        assert int(row["target"]) == competition.train[row["prediction_id"]]

    metrics = json.loads((out / "metrics.json").read_text())
    for name in ("pfbeta", "pr_auc"):
        assert np.isclose(metrics["mean"][name], saved.metrics[name], atol=1e-6)


def test_out_of_fold_rows_are_the_checkpoints_predictions(train, small, tmp_path, competition):
    from inference.pixels.loading import load
    from inference.pixels.preprocess import PreprocessConfig

    train(*small, "trainer.ema=0.9")
    out = tmp_path / "runs" / "demo"
    saved = checkpoint.load(next(out.glob("fold0_epoch*.pt")))
    network = model.restore(saved)
    config = PreprocessConfig.from_dict(dict(saved.preprocess))
    with (out / "oof.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    for row in rows[:5]:
        path = competition.folder / "train_images" / row["patient_id"] / f"{row['image_id']}.dcm"
        image = torch.from_numpy(load(path, [config]).inputs[0])[None, None]
        with torch.inference_mode():
            probability = network(image)[0, 0].sigmoid().item()
        assert abs(probability - float(row["probability"])) < 1e-5


def test_an_unknown_key_is_answered_with_the_nearest(train, small):
    done = train(*small, "trainer.epoch=3", code=2)
    assert "trainer.epoch" in done.stderr
    assert "Nearest keys: trainer.epochs" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_architecture_is_answered_with_the_nearest(train, small):
    done = train(*small, "model.arch=convnext_smal", code=2)
    assert "convnext_small" in done.stderr
    assert "Traceback" not in done.stderr
