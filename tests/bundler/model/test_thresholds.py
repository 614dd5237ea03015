"""The threshold: pF1 on held-out predictions, checked against plain counting."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bundler.errors import InputError
from bundler.model import out_of_fold, thresholds
from bundler.model.out_of_fold import OutOfFold

HEADER = "image_id,patient_id,laterality,prediction_id,site_id,machine_id,fold,target,probability"


def write(path: Path, rows: list[tuple[int, float, float]], first: int = 0) -> Path:
    """Write an oof.csv from (breast, target, probability), its images numbered from `first`."""
    lines = [
        f"{number},{breast // 2},{'LR'[breast % 2]},{breast}_X,1,49,0,{target:g},{probability!r}"
        for number, (breast, target, probability) in enumerate(rows, first)
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def drawn(breasts: int = 400, seed: int = 0) -> list[tuple[int, float, float]]:
    rng = np.random.default_rng(seed)
    rows = []
    for breast in range(breasts):
        target = float(rng.random() < 0.1)
        for _ in range(int(rng.integers(1, 4))):
            rows.append(
                (breast, target, float(np.clip(rng.normal(0.2 + 0.3 * target, 0.15), 0, 1)))
            )
    return rows


def plain_f1(labels: np.ndarray, called: np.ndarray) -> float:
    hits = float((called & (labels == 1)).sum())
    return 2 * hits / float(called.sum() + labels.sum())


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])),
    min_size=2,
    max_size=30,
).filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))


@settings(deadline=None, max_examples=40)
@given(rows=ROWS)
def test_no_threshold_is_better_than_the_best(rows: list[tuple[int, float]]) -> None:
    labels, values = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    breasts = [str(number) for number in range(len(rows))]
    oof = OutOfFold(
        patients=breasts, breasts=breasts, labels=labels, probabilities=values, sha256=""
    )
    curve = thresholds.curve(oof, "mean")
    every = [plain_f1(labels, values >= cut) for cut in (*values, 0.0)]
    assert curve.pf1 == pytest.approx(max(every))
    assert plain_f1(labels, values >= curve.threshold) == pytest.approx(curve.pf1)
    assert thresholds.score(oof, "mean", curve.threshold) == pytest.approx(curve.pf1)
    low, high = curve.plateau
    assert low <= curve.threshold <= high
    for cut in values[(values > low) & (values <= high)]:
        assert plain_f1(labels, values >= cut) >= 0.98 * curve.pf1 - 1e-9


def test_curve_of_mean_and_max(tmp_path: Path) -> None:
    oof = out_of_fold.read([write(tmp_path / "oof.csv", drawn())])
    mean, highest = (thresholds.curve(oof, name) for name in thresholds.AGGREGATIONS)
    assert highest.threshold > mean.threshold
    assert mean.breasts == 400
    assert mean.low <= mean.pf1 <= mean.high
    points = np.array(mean.points)
    assert (np.diff(points[:, 0]) > 0).all()
    assert (points[:, 2] <= points[:, 3]).all()
    assert points[:, 1].max() == pytest.approx(mean.pf1)
    assert thresholds.curve(oof, "mean") == mean  # the bootstrap is seeded


def test_several_files_are_joined(tmp_path: Path) -> None:
    rows = drawn()
    whole = out_of_fold.read([write(tmp_path / "oof.csv", rows)])
    parts = [write(tmp_path / "a.csv", rows[:300]), write(tmp_path / "b.csv", rows[300:], 300)]
    joined = out_of_fold.read(parts)
    assert thresholds.curve(joined, "mean") == thresholds.curve(whole, "mean")


def test_picture_is_a_picture_and_always_the_same(tmp_path: Path) -> None:
    oof = out_of_fold.read([write(tmp_path / "oof.csv", drawn())])
    curves = [thresholds.curve(oof, name) for name in thresholds.AGGREGATIONS]
    for name in ("a.png", "b.png"):
        thresholds.draw(curves, 0.4, tmp_path / name)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 400
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 1.0, 0.5), (1, 1.0, 0.4)], "2 of them with cancer"),
        ([(0, 0.0, 0.5)], "0 of them with cancer"),
        ([(0, 1.0, 3.5), (1, 0.0, -2.0)], "Are they logits"),
        ([(0, 1.0, float("nan")), (1, 0.0, 0.1)], "NaN"),
        ([(0, 0.5, 0.3), (1, 0.0, 0.1)], "cannot be used"),
        ([(0, 1.0, 0.3), (0, 0.0, 0.1)], "contradict"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(
    rows: list[tuple[int, float, float]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        thresholds.curve(out_of_fold.read([write(tmp_path / "oof.csv", rows)]), "mean")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "oof.csv").write_text("patient_id,target\n1,0\n")
    with pytest.raises(InputError, match="lacks the column prediction_id, probability"):
        out_of_fold.read([tmp_path / "oof.csv"])
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        out_of_fold.read([tmp_path / "none.csv"])


def test_a_cut_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "oof.csv"
    path.write_text("target,probability,patient_id,prediction_id\n1,0.5,7,7_L\n0,0.2,8\n")
    with pytest.raises(InputError, match="line 3 has no prediction_id"):
        out_of_fold.read([path])
