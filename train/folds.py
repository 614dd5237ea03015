"""Folds by patient, alike in cancer, site and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from train.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def assign(table: pd.DataFrame, folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each row, int64 [N]; a patient is never in two.

    Patients with the same cancer label, site and machine are shuffled and dealt like cards,
    each group beginning where the one before it stopped: so folds differ by one at most in
    every group, in the number of sick patients, and in size.
    """
    if folds < 2:
        raise DataError(f"{folds} folds leave nothing to validate on: ask for at least 2.")
    patients = table.groupby("patient_id").agg(
        cancer=("cancer", "max"), site=("site_id", "first"), machine=("machine_id", "first")
    )
    sick = int(patients.cancer.sum())
    if sick < folds:
        raise DataError(
            f"{sick} patients with cancer cannot be spread over {folds} folds: one would have no "
            f"positives and its metrics no meaning. Ask for fewer folds (data.folds={max(sick, 2)}"
            ") or add positives."
        )
    rng = np.random.default_rng(seed)
    dealt: dict[str, int] = {}
    turn = 0
    for _, group in patients.groupby(["cancer", "site", "machine"], sort=True, dropna=False):
        for patient in rng.permutation(group.index.to_numpy()):
            dealt[str(patient)] = turn % folds
            turn += 1
    return table.patient_id.map(dealt).to_numpy(np.int64)
