"""Predict the test images with the trained network."""

import os
from pathlib import Path

import pandas as pd
import torch

from network import CLASSES, Network, read

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
MODEL = Path(os.environ["RSNA_BUNDLE_MODEL"])
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BATCH = 64


def load_sample() -> tuple[pd.DataFrame, str]:
    """Return the sample submission, its ids as strings, and its suffix."""
    path = next(COMPETITION.glob("sample_submission.*"))
    if path.suffix == ".parquet":
        return pd.read_parquet(path).set_index("image_id"), path.suffix
    return pd.read_csv(path, dtype={"image_id": str}).set_index("image_id"), path.suffix


def save(submission: pd.DataFrame, path: str) -> None:
    """Write the submission in the sample's format."""
    if path.endswith(".parquet"):
        submission.reset_index().to_parquet(path, index=False)
    else:
        submission.to_csv(path)


def main() -> None:
    """Write the submission with the rows of the sample, in its order."""
    submission, suffix = load_sample()
    # Every row gets an answer first: an image that cannot be read keeps it.
    submission[list(CLASSES)] = 1 / len(CLASSES)

    network = Network().to(DEVICE).eval()
    network.load_state_dict(torch.load(MODEL / "network.pt", DEVICE, weights_only=True))
    names = pd.read_csv(COMPETITION / "test.csv", dtype=str).image_id
    for start in range(0, len(names), BATCH):
        images = {}
        for name in names[start : start + BATCH]:
            try:
                images[name] = read(COMPETITION / "test_images" / f"{name}.png")
            except (OSError, SyntaxError, ValueError) as error:  # a broken PNG, in Pillow's words
                print(f"{name} keeps the fallback: {error}")
        if images:
            with torch.inference_mode():
                logits = network(torch.stack(list(images.values())).to(DEVICE))
            submission.loc[list(images)] = logits.softmax(1).cpu().numpy()

    save(submission, f"submission{suffix}")
    print(f"submission{suffix}: {len(submission)} rows")


if __name__ == "__main__":
    main()
