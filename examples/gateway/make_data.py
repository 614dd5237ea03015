"""Draw a phantom competition with a gateway: will a person fall within a year of this walk?"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

DATA, HOST = Path("data"), Path("host")
STEPS = 600  # samples of a walk, at 50 a second


def draw(part: str, walks: int, seed: int) -> pd.DataFrame:
    """Write a signal for each walk, float32 [samples, 3 axes], and return one row per walk."""
    rng = np.random.default_rng(seed)
    folder = DATA / f"{part}_signals"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in rng.choice(10**6, walks, replace=False):
        age, sway = int(rng.integers(60, 95)), float(rng.gamma(2.0, 0.1))
        time = np.arange(STEPS)[:, None] / 50
        signal = np.sin(2 * np.pi * time * [1.0, 2.0, 0.5]) + sway * rng.normal(size=(STEPS, 3))
        np.save(folder / f"{number:06d}.npy", signal.astype(np.float32))
        fall = int(rng.logistic(0.05 * (age - 75) + 8 * (sway - 0.2)) > 1)
        rows.append({"walk_id": f"{number:06d}", "age": age, "fall": fall})
    return pd.DataFrame(rows)


def main() -> None:
    """Write train.csv, test.csv with the three walks that the public sees, and the package."""
    DATA.mkdir(exist_ok=True)
    draw("train", 120, seed=1).to_csv(DATA / "train.csv", index=False)
    draw("test", 3, seed=2).drop(columns="fall").to_csv(DATA / "test.csv", index=False)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HOST, DATA, ignore=ignored, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
