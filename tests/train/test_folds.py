"""Folds: patients stay whole, strata are spread evenly."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train import folds
from train.errors import DataError


def made(patients: int, sick: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "patient_id": [str(number) for number in range(patients)],
            "cancer": (rng.random(patients) < sick).astype(int),
            "machine_id": rng.integers(5, size=patients),
        }
    )
    people["site_id"] = people.machine_id % 2 + 1
    return people.loc[people.index.repeat(rng.integers(2, 6, patients))].reset_index(drop=True)


@settings(deadline=None, max_examples=40)
@given(st.integers(20, 120), st.integers(2, 5), st.integers(0, 99))
def test_patients_are_whole_and_strata_even(patients, count, seed):
    table = made(patients, 0.4, seed)
    table["fold"] = folds.assign(table, count, seed)
    assert table.groupby("patient_id").fold.nunique().max() == 1
    people = table.drop_duplicates("patient_id")
    for keys in (["fold"], ["cancer", "fold"], ["cancer", "site_id", "machine_id", "fold"]):
        sizes = people.groupby(keys).size()
        if len(keys) == 1:
            assert sizes.max() - sizes.min() <= 1
        else:
            spread = sizes.unstack("fold", fill_value=0)
            assert (spread.max(axis=1) - spread.min(axis=1)).max() <= 1


def test_equal_seeds_give_equal_folds_and_others_others():
    table = made(60, 0.3, 0)
    first = folds.assign(table, 3, seed=1)
    np.testing.assert_array_equal(first, folds.assign(table, 3, seed=1))
    assert (first != folds.assign(table, 3, seed=2)).any()


def test_a_fold_without_positives_is_refused():
    table = made(30, 0.0, 0)
    table.loc[table.patient_id == "3", "cancer"] = 1
    with pytest.raises(DataError, match="1 patients with cancer cannot be spread over 3 folds"):
        folds.assign(table, 3)
    with pytest.raises(DataError, match="at least 2"):
        folds.assign(table, 1)
