"""Serve predictions to the competition's gateway."""

import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
MODEL = Path(os.environ["RSNA_BUNDLE_MODEL"])
sys.path.append(str(COMPETITION))  # the package lies among the competition's files

import joblib
import kaggle_evaluation.gait_inference_server
import polars as pl

from features import features


@cache
def model() -> Any:
    """Return what train.py saved: loaded by the first call, which has no deadline."""
    return joblib.load(MODEL / "model.joblib")


def predict(row: pl.DataFrame, signal: str) -> float:
    """Return the probability of a fall. The gateway calls this once for each walk.

    An exception in one call would end the whole submission: a broken signal gets the prevalence.
    """
    try:
        table = [features(row["age"][0], signal)]
    except (EOFError, OSError, ValueError) as error:
        print(f"{row['walk_id'][0]}: {error}")
        return float(model()["prevalence"])
    return float(model()["pipeline"].predict_proba(table)[0, 1])


def main() -> None:
    """Serve the hidden test on the rerun; elsewhere answer the public one here."""
    server = kaggle_evaluation.gait_inference_server.GaitInferenceServer(predict)
    if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
        server.serve()
    else:
        paths = (str(COMPETITION / "test.csv"), str(COMPETITION / "test_signals"))
        # What is shared needs an empty folder; on the rerun it is /kaggle/shared.
        with tempfile.TemporaryDirectory() as shared:
            server.run_local_gateway(paths, file_share_dir=shared)


if __name__ == "__main__":
    main()
