"""Which numbers measure quality, and which end of them is the better one."""

import pytest

from bundler.model import metrics


@pytest.mark.parametrize(
    "name",
    [
        *("loss", "val_loss", "valLoss", "train_loss", "bce", "val/nll", "rmse", "mae", "log_loss"),
        *("cross_entropy", "brier_score", "auc_loss", "ece", "error", "neg_auc", "epoch_loss"),
    ],
)
def test_lower_is_better(name: str) -> None:
    assert metrics.direction(name) == "lower"


@pytest.mark.parametrize(
    "name",
    [
        *("pfbeta", "vpfbeta", "pf1", "vbest_f1", "best_auc", "val/AUROC", "mAP", "vacc"),
        *("cohen_kappa", "r2", "cv_score", "neg_log_loss", "f1_macro", "image_auc", "pr_auc"),
    ],
)
def test_higher_is_better(name: str) -> None:
    assert metrics.direction(name) == "higher"


@pytest.mark.parametrize(
    "name",
    [
        *("lr", "learning_rate", "threshold", "best_threshold", "best_f1_threshold", "seed"),
        *("epoch", "best_epoch", "global_step", "img_size", "batch_size", "weight_decay"),
    ],
)
def test_settings_measure_nothing(name: str) -> None:
    assert metrics.is_setting(name)
    assert metrics.direction(name) is None


@pytest.mark.parametrize("name", ["foo", "", "v", "metric", "x1", "cancer"])
def test_no_direction_is_guessed(name: str) -> None:
    assert metrics.direction(name) is None
    assert not metrics.is_setting(name)


def test_a_training_metric_chooses_nothing_unasked() -> None:
    assert metrics.is_telling("val_auc")
    assert not metrics.is_telling("train_auc")


@pytest.mark.parametrize(
    ("recorded", "name", "value"),
    [
        ({"vpfbeta": 0.5}, "pfbeta", 0.5),
        ({"pfbeta": 0.5}, "vpfbeta", 0.5),
        ({"val_loss": 0.1}, "loss", 0.1),
        ({"val/auc": 0.7}, "auc", 0.7),
        ({"auc": 0.7, "vauc": 0.6}, "vauc", 0.6),
        ({"auc": 0.7}, "acc", None),
    ],
)
def test_find(recorded: dict[str, float], name: str, value: float | None) -> None:
    assert metrics.find(recorded, name) == value
