"""Predict the test table with the fitted trees."""

import os
from pathlib import Path

import joblib
import pandas as pd

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
MODEL = Path(os.environ["RSNA_BUNDLE_MODEL"])
ID, TARGET = "patient_id", "readmitted"


def main() -> None:
    """Write submission.csv with the rows of the sample, in its order."""
    test = pd.read_csv(COMPETITION / "test.csv", dtype={ID: str}).set_index(ID)
    submission = pd.read_csv(COMPETITION / "sample_submission.csv", dtype={ID: str}).set_index(ID)
    saved = joblib.load(MODEL / "model.joblib")

    # Every row gets an answer first, so that none is missing whatever happens below.
    submission[TARGET] = saved["prevalence"]
    probabilities = saved["model"].predict_proba(test)[:, 1]
    submission.update(pd.DataFrame({TARGET: probabilities}, index=test.index))
    submission.to_csv("submission.csv")
    print(f"submission.csv: {len(submission)} rows, mean {submission[TARGET].mean():.3f}")


if __name__ == "__main__":
    main()
