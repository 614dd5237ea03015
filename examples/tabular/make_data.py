"""Draw a phantom competition: will a patient be readmitted to hospital within 30 days?"""

from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path("data")
WARDS = ("cardiology", "geriatrics", "oncology", "surgery")


def draw(patients: int, seed: int) -> pd.DataFrame:
    """Return one row per patient, with gaps where a value was not measured."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 95, patients)
    days = rng.geometric(0.2, patients)
    creatinine = rng.lognormal(0.0, 0.4, patients).round(2)
    risk = 0.04 * (age - 65) + 0.15 * (days - 5) + 1.5 * (creatinine - 1)
    return pd.DataFrame(
        {
            # Six digits with leading zeros: an id is a string, whatever it looks like.
            "patient_id": [f"{number:06d}" for number in rng.choice(10**6, patients, False)],
            "age": age,
            "sex": rng.choice(["female", "male"], patients),
            "ward": rng.choice(WARDS, patients),
            "days": days,
            "creatinine": np.where(rng.random(patients) < 0.1, np.nan, creatinine),
            "readmitted": (rng.logistic(risk) > 1).astype(int),
        }
    )


def main() -> None:
    """Write train.csv, test.csv with the three rows that the public sees, and a sample."""
    DATA.mkdir(exist_ok=True)
    draw(2000, seed=1).to_csv(DATA / "train.csv", index=False)
    test = draw(3, seed=2).drop(columns="readmitted")
    test.to_csv(DATA / "test.csv", index=False)
    sample = test[["patient_id"]].assign(readmitted=0.5)
    sample.to_csv(DATA / "sample_submission.csv", index=False)


if __name__ == "__main__":
    main()
