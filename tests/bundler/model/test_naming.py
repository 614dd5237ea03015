"""What file names say."""

from pathlib import PurePath

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
        ("b3_f0_pf1_0.451", 0, None, {"pf1": 0.451}),
        ("b3_f0", 0, None, {}),
        ("f2_best", 2, None, {}),
        ("m_f3_0.4", 3, None, {}),
        ("m_f0.451", None, None, {"m_f": 0.451}),  # no fold 0
        ("f1_0.45", None, None, {"f1": 0.45}),
        ("m_f1_pf1_0.3", None, None, {"pf1": 0.3}),  # fold 1, or the name of a score
        ("m_f2_0.4", None, None, {}),  # the F2 score, or fold 2
        ("b0_f05_0.3", None, None, {}),
        ("kfold=0", 0, None, {}),
        ("lr0.001_thr_0.35_auc0.9", None, None, {"auc": 0.9}),
        ("seed42_size0.5_loss1.25", None, None, {"loss": 1.25}),
        ("f1_macro0.45", None, None, {"f1_macro": 0.45}),
        ("last-v1", None, None, {}),
    ],
)
def test_parse(stem: str, fold: int | None, epoch: int | None, metrics: dict[str, float]) -> None:
    named = naming.parse(stem)
    assert (named.fold, named.epoch, dict(named.metrics)) == (fold, epoch, metrics)


@pytest.mark.parametrize(
    ("path", "fold"),
    [
        ("runs/fold_0/best.pth", 0),
        ("kfold=2/checkpoints/best.pth", 2),
        ("exp_f3/best.pth", 3),
        ("fold9/fold1/best.pth", 1),  # the nearest
        ("fold9/a/b/best.pth", None),  # too far away
        ("efficientnet_f1/best.pth", None),
        ("manifold2/best.pth", None),
    ],
)
def test_folders(path: str, fold: int | None) -> None:
    assert naming.fold_of_folders(PurePath(path)) == fold


@pytest.mark.parametrize(
    ("stem", "last", "best"),
    [
        ("last", True, False),
        ("fold0_last", True, False),
        ("last-v1", True, False),
        ("latest", True, False),
        ("best", False, True),
        ("best_auc0.9", False, True),
        ("model_best", False, True),
        ("blast_search", False, False),
        ("epoch9", False, False),
    ],
)
def test_best_and_last(stem: str, last: bool, best: bool) -> None:
    assert (naming.is_last(stem), naming.is_best(stem)) == (last, best)
