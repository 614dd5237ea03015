"""Predict the test studies with the trained network: a row for each study and condition."""

import os
from pathlib import Path

import pandas as pd
import torch

from network import CONDITIONS, Network, read

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
MODEL = Path(os.environ["RSNA_BUNDLE_MODEL"])
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def load_sample() -> tuple[pd.DataFrame, str]:
    """Return the sample submission by its ids, and its suffix."""
    path = next(COMPETITION.glob("sample_submission.*"))
    sample = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return sample.set_index("row_id"), path.suffix


def save(submission: pd.DataFrame, path: str) -> None:
    """Write the submission in the sample's format."""
    if path.endswith(".parquet"):
        submission.reset_index().to_parquet(path, index=False)
    else:
        submission.to_csv(path)


def main() -> None:
    """Write the submission with the rows of the sample, in its order."""
    submission, suffix = load_sample()
    # Every row gets an answer first: a study without a readable slice keeps it, and so does a
    # condition that the network does not know.
    submission["present"] = 0.4

    network = Network().to(DEVICE).eval()
    network.load_state_dict(torch.load(MODEL / "network.pt", DEVICE, weights_only=True))
    test = pd.read_csv(COMPETITION / "test.csv", dtype=str)
    for study, rows in test.groupby("study_id"):
        slices = read(COMPETITION / "test_series" / study)
        if len(slices):
            with torch.inference_mode():
                answers = network(slices.to(DEVICE)).sigmoid().tolist()
            present = rows.condition.map(dict(zip(CONDITIONS, answers, strict=True)))
            submission.update(pd.DataFrame({"present": present.to_numpy()}, index=rows.row_id))

    save(submission, f"submission{suffix}")
    print(f"submission{suffix}: {len(submission)} rows from {test.study_id.nunique()} studies")


if __name__ == "__main__":
    main()
