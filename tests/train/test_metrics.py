"""The metrics: hand-worked values, other people's implementations, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from train import metrics
from train.errors import DataError


@st.composite
def predictions(draw, binary=False):
    size = draw(st.integers(1, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    # Few distinct values, so that ties are common.
    values = st.sampled_from([0, 1]) if binary else st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1])
    return np.array(labels), np.array(draw(st.lists(values, min_size=size, max_size=size)), float)


def competition_pfbeta(labels, values, beta):
    """The competition page's definition, spelled out."""
    true_sum = positives = false_sum = 0.0
    for label, value in zip(labels, values, strict=True):
        value = max(0.0, min(1.0, value))
        if label:
            positives += 1
            true_sum += value
        else:
            false_sum += value
    if positives == 0 or true_sum + false_sum == 0:
        return 0.0
    precision, recall = true_sum / (true_sum + false_sum), true_sum / positives
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@pytest.mark.parametrize(
    ("labels", "values", "expected"),
    [
        ([1, 0, 0, 0], [1, 0, 0, 0], 1.0),
        ([1, 0, 0, 0], [1, 1, 1, 1], 0.4),  # precision 1/4, recall 1
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5),  # precision 1/2, recall 1/2
        ([1, 1, 0, 0], [0.8, 0.2, 0.0, 0.0], 2 / 3),  # precision 1, recall 1/2
        ([1, 0], [0.6, 0.2], 2 * 0.75 * 0.6 / 1.35),
        ([1, 0], [3.0, -1.0], 1.0),  # clipped
        ([0, 0], [0.5, 0.5], 0.0),  # no positives
        ([1, 1], [0.0, 0.0], 0.0),  # nothing predicted
        ([1, 0], [0.0, 1.0], 0.0),
        ([], [], 0.0),
    ],
)
def test_pfbeta_by_hand(labels, values, expected):
    assert metrics.pfbeta(labels, values) == pytest.approx(expected)


def test_pfbeta_of_all_ones_at_natural_and_at_rebalanced_prevalence():
    natural = np.arange(23826) < 492
    assert metrics.pfbeta(natural, np.ones(23826)) == pytest.approx(0.0404, abs=1e-4)
    assert metrics.pfbeta([1, 0], [1, 1]) == pytest.approx(2 / 3)
    assert metrics.pfbeta([1, 0], [0.5, 0.5]) == pytest.approx(0.5)


@settings(deadline=None)
@given(predictions(), st.sampled_from([0.5, 1.0, 2.0]))
def test_pfbeta_is_the_competitions(pair, beta):
    labels, values = pair
    expected = competition_pfbeta(labels, values, beta)
    assert metrics.pfbeta(labels, values, beta) == pytest.approx(expected)


@settings(deadline=None)
@given(predictions(binary=True))
def test_pfbeta_of_zeros_and_ones_is_plain_f1(pair):
    labels, values = pair
    expected = reference.f1_score(labels, values, zero_division=0)
    assert metrics.pfbeta(labels, values) == pytest.approx(expected)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.floats(allow_nan=False, allow_infinity=True)), min_size=1
    )
)
def test_pfbeta_lies_between_0_and_1(pairs):
    labels, values = zip(*pairs, strict=True)
    assert 0 <= metrics.pfbeta(labels, values) <= 1 + 1e-12


@settings(deadline=None)
@given(predictions())
def test_best_f1_is_the_best_of_all_thresholds(pair):
    labels, values = pair
    best, threshold = metrics.best_f1(labels, values)
    everywhere = [metrics.pfbeta(labels, values >= at) for at in {*values.tolist(), 2.0}]
    assert best == pytest.approx(max(everywhere))
    assert metrics.pfbeta(labels, values >= threshold) == pytest.approx(best)


@settings(deadline=None)
@given(predictions())
def test_areas_are_those_of_scikit_learn(pair):
    labels, values = pair
    if labels.min() == labels.max():
        assert np.isnan(metrics.roc_auc(labels, values))
        assert np.isnan(metrics.pr_auc(labels, values)) == (labels.sum() == 0)
        return
    assert metrics.roc_auc(labels, values) == pytest.approx(reference.roc_auc_score(labels, values))
    assert metrics.pr_auc(labels, values) == pytest.approx(
        reference.average_precision_score(labels, values)
    )


@pytest.mark.parametrize(
    "metric", [metrics.pfbeta, metrics.best_f1, metrics.roc_auc, metrics.pr_auc, metrics.evaluate]
)
def test_nan_and_odd_labels_are_refused(metric):
    with pytest.raises(DataError, match="1 of 3 predictions are NaN"):
        metric([0, 1, 0], [0.1, np.nan, 0.2])
    with pytest.raises(DataError, match="neither 0 nor 1"):
        metric([0, 2], [0.1, 0.2])
    with pytest.raises(DataError, match="3 labels"):
        metric([0, 1, 0], [0.1, 0.2])


def test_breasts_in_the_order_seen():
    names, labels, values = metrics.by_breast(
        ["b", "a", "b", "a"], [1, 0, 1, 0], [0.2, 0.4, 0.6, 0.0]
    )
    assert names == ["b", "a"]
    np.testing.assert_allclose(labels, [1, 0])
    np.testing.assert_allclose(values, [0.4, 0.2])
    np.testing.assert_allclose(
        metrics.by_breast(["b", "a", "b"], [1, 0, 1], [0.2, 0.4, 0.6], "max")[2], [0.6, 0.4]
    )


def test_a_breast_that_contradicts_itself_is_refused():
    with pytest.raises(DataError, match="breast a contradict"):
        metrics.by_breast(["a", "a"], [0, 1], [0.2, 0.4])


def test_the_bootstrap_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(40):
        labels = rng.random(200) < 0.3
        values = labels * 1.0 + rng.standard_normal(200)  # true ROC-AUC 0.760
        interval = metrics.bootstrap(metrics.roc_auc, labels, values, rounds=200, seed=seed)
        assert interval.low <= interval.value <= interval.high
        covered += interval.low <= 0.760 <= interval.high
    assert covered >= 34  # of 40 at 95 %


def test_the_bootstrap_draws_whole_patients():
    labels = np.tile([1, 0, 0, 0], 10)
    values = np.linspace(0, 1, 40)
    alone = metrics.bootstrap(metrics.roc_auc, labels, values, groups=["one"] * 40, rounds=20)
    assert alone.low == alone.high == alone.value


def test_sites_with_one_class_are_left_out():
    found = metrics.evaluate_sites(["1", "1", "2", "2"], [0, 1, 0, 0], [0.1, 0.9, 0.5, 0.5])
    assert list(found) == ["1"]
    assert found["1"]["best_f1"] == 1.0
