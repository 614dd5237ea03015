"""The whole way: competition folder → checkpoint, oof.csv, metrics."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from train import checkpoint, model, run
from train.errors import ConfigError, DataError, TrainError
from train.outcome import OOF_COLUMNS


def test_a_run_leaves_what_the_contracts_ask_for(train, small, tmp_path, competition):
    train(*small)
    out = tmp_path / "runs" / "demo"
    found = list(out.glob("fold0_epoch*_vpfbeta*.pt"))
    assert len(found) == 1
    saved = checkpoint.load(found[0])
    assert saved.arch == "test_resnet"
    assert saved.preprocess.size == (96, 64)
    assert saved.normalize == model.IMAGENET
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


def test_out_of_fold_rows_are_the_checkpoints_predictions(learn, small, competition):
    from inference.pixels.loading import load

    out = learn(*small, "trainer.ema=0.9")
    saved = checkpoint.load(next(out.glob("fold0_epoch*.pt")))
    network = model.restore(saved)
    config = saved.preprocess
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
    assert "Did you mean trainer.epochs" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_folder_it_says_what_is_missing(train):
    done = train("experiment=demo", code=2)
    assert "data.dir=VALUE" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_experiment_composes():
    from hydra import compose, initialize_config_module

    from train import settings

    with initialize_config_module("train.conf", version_base="1.3"):
        for path in sorted((Path(run.__file__).parent / "conf" / "experiment").glob("*.yaml")):
            cfg = compose("config", overrides=[f"experiment={path.stem}", "data.dir=x"])
            assert settings.plain(cfg)["name"] == path.stem


def test_the_last_epoch_is_kept_where_that_is_asked_for(learn, small):
    out = learn(*small, "trainer.keep=last", "trainer.epochs=3", "optimizer.lr=0")
    assert [path.name[:13] for path in out.glob("fold0_*.pt")] == ["fold0_epoch02"]


def test_equal_seeds_train_equal_weights(learn, small):
    first = learn(*small, "trainer.epochs=1", "name=first")
    second = learn(*small, "trainer.epochs=1", "name=second")
    assert (first / "oof.csv").read_bytes() == (second / "oof.csv").read_bytes()


def test_all_folds_together_predict_every_image_once(learn, small, competition):
    out = learn(*small, "trainer.epochs=1", "data.fold=null")
    with (out / "oof.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert {row["prediction_id"] for row in rows} == set(competition.train)
    assert len({row["image_id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("model.arch=convnext_smal", "convnext_small"),
        ("data.fold=7", "folds are 0 to 1"),
        ("data.preset=roi", "roi-1024x512"),
        ("data.size=[1]", "height, width"),
        ("optimizer.name=lion", "adam, adamw, sgd"),
        ("scheduler.name=step", "cosine, plateau, constant"),
        ("loss.name=dice", "bce, focal"),
        ("sampler.name=some", "all, negatives, balanced"),
        ("trainer.device=tpu", "auto, cpu, cuda"),
        ("aug.scale=[1.8,2.2]", "inference never enlarges"),
        ("model.metadata=[biopsy]", "hidden test"),
        ("trainer.precision=fp8", "fp32, bf16, fp16"),
        ("trainer.monitor=accuracy", "pfbeta"),
        ("trainer.keep=all", "best, last"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(learn, small, setting, match):
    with pytest.raises(ConfigError, match=match):
        learn(*small, setting)


def test_a_loss_that_is_no_number_stops_the_training(learn, small):
    with pytest.raises(TrainError, match="The loss is nan"):
        learn(*small, "optimizer=sgd", "optimizer.lr=1e30", "trainer.epochs=3")


def test_too_many_unreadable_images_stop_the_training(learn, small, competition, tmp_path, capsys):
    folder = tmp_path / "competition"
    shutil.copytree(competition.folder, folder)
    for path in sorted((folder / "train_images").rglob("*.dcm"))[:2]:
        path.unlink()
    with pytest.raises(DataError, match=r"2 of \d+ images cannot be read"):
        learn(*small, f"data.dir={folder}")
    learn(*small, f"data.dir={folder}", "data.max_failures=0.5", "trainer.epochs=1")
    assert "They are left out" in capsys.readouterr().err


def test_a_cache_serves_where_the_images_are_not(learn, small, competition, tmp_path):
    learn(*small, "trainer.epochs=1", f"data.cache={tmp_path / 'cache'}")
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(competition.folder / "train.csv", bare)
    settings = [*small, "trainer.epochs=1", f"data.dir={bare}", "name=bare"]
    learn(*settings, f"data.cache={tmp_path / 'cache'}")
    with pytest.raises(DataError, match="no finished cache"):
        learn(*settings, "restart=true", f"data.cache={tmp_path / 'none'}")


def test_a_cache_in_a_bucket_serves_too(learn, small, competition, tmp_path, s3):
    import fsspec

    learn(*small, "trainer.epochs=1", f"data.cache={tmp_path / 'cache'}")
    filesystem, path = fsspec.core.url_to_fs(f"{s3}/cache-of-ours")
    for file in (tmp_path / "cache").glob("*.*"):
        filesystem.put(str(file), f"{path}/{file.name}")
    out = learn(*small, "trainer.epochs=1", f"data.cache={s3}/cache-of-ours", "name=far")
    assert (out / "oof.csv").read_bytes() == (out.parent / "demo" / "oof.csv").read_bytes()


@pytest.mark.parametrize("experiment", ["baseline", "strong"])
def test_the_recipes_run(learn, small, experiment):
    smaller = [word for word in small if not word.startswith("experiment")]
    tiny = ["model.arch=test_convnext", "model.pretrained=false", "data.workers=0"]
    out = learn(
        *smaller,
        *tiny,
        f"experiment={experiment}",
        "trainer.epochs=1",
        "trainer.threads=1",
        "data.fold=0",
    )
    saved = checkpoint.load(next(out.glob("fold0_epoch00_*.pt")))
    outputs = {"baseline": 1, "strong": 1 + 3 + 4 + 2 + 2 + 2}[experiment]
    assert saved.model_kwargs["num_classes"] == outputs
    assert (saved.ema is not None) == (experiment == "strong")
    network = model.restore(saved)
    assert network(torch.zeros((1, 1, 96, 64), dtype=torch.uint8)).shape == (1, outputs)


def test_pretrained_weights_out_of_reach_are_explained(learn, small, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"model\.weights=FILE"):
        learn(*small, "model.pretrained=true", "model.arch=resnet18.a1_in1k")


def test_pretrained_weights_come_from_a_file(learn, small, tmp_path):
    net = model.build("test_resnet", {"num_classes": 1000, "in_chans": 3})
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    out = learn(
        *small,
        "model.pretrained=true",
        "model.arch=test_resnet.r160_in1k",
        f"model.weights={tmp_path / 'weights.pth'}",
        "optimizer.lr=0",
        "trainer.epochs=1",
    )
    saved = checkpoint.load(next(out.glob("fold0_epoch*.pt")))
    name = next(
        name for name, value in net.state_dict().items() if value.ndim == 4 and value.shape[1] > 3
    )
    assert torch.equal(saved.model[name], net.state_dict()[name])
    assert "weights" not in str(saved.model_kwargs)
