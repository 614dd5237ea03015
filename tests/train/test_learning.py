"""Training learns what is there, and nothing where nothing is."""

import pytest

from benchmarks.train import learning


@pytest.mark.slow
def test_lesions_are_found(tmp_path):
    found = learning(tmp_path, patients=400, contrast=0.5)
    assert found["roc_auc"] >= 0.90
    assert found["interval"][0] >= 0.83


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is(tmp_path):
    low, high = learning(tmp_path, patients=400, contrast=0.0)["interval"]
    assert low <= 0.5 <= high
