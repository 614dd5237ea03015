"""What file names say."""

import pytest

from bundler.model import naming


@pytest.mark.parametrize(
    ("stem", "fold", "epoch", "metrics"),
    [
        ("model_fold1_epoch49_vacc0.545_vpfbeta0.504", 1, 49, {"vacc": 0.545, "vpfbeta": 0.504}),
        ("fold0_epoch02_vpfbeta0.504", 0, 2, {"vpfbeta": 0.504}),
        ("fold1_epoch3_vbest_f10.367", 1, 3, {"vbest_f1": 0.367}),
        ("epoch=12-val_loss=0.123", None, 12, {"val_loss": 0.123}),
        ("fold_2-auc-0.93", 2, None, {"auc": 0.93}),
        ("best_auc_0.912", None, None, {"best_auc": 0.912}),
        ("convnext_small-fold-3-ep7", 3, 7, {}),
        ("tf_efficientnetv2_s_512_f1", None, None, {}),
        ("best", None, None, {}),
        ("last-v1", None, None, {}),
    ],
)
def test_parse(stem: str, fold: int | None, epoch: int | None, metrics: dict[str, float]) -> None:
    named = naming.parse(stem)
    assert (named.fold, named.epoch, dict(named.metrics)) == (fold, epoch, metrics)


@pytest.mark.parametrize(
    ("metrics", "name", "value"),
    [
        ({"vpfbeta": 0.5}, "pfbeta", 0.5),
        ({"pfbeta": 0.5}, "vpfbeta", 0.5),
        ({"val_loss": 0.1}, "loss", 0.1),
        ({"val/auc": 0.7}, "auc", 0.7),
        ({"auc": 0.7, "vauc": 0.6}, "vauc", 0.6),
        ({"auc": 0.7}, "acc", None),
    ],
)
def test_find_metric(metrics: dict[str, float], name: str, value: float | None) -> None:
    assert naming.find_metric(metrics, name) == value


def test_losses_are_better_when_lower() -> None:
    assert naming.is_lower_better("val_loss")
    assert not naming.is_lower_better("vpfbeta")
