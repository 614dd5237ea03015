"""Fit a logistic regression to the training walks, and save it."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features import features

DATA, WEIGHTS = Path("data"), Path("weights")


def main() -> None:
    """Report the cross-validated AUC, then fit on everything."""
    train = pd.read_csv(DATA / "train.csv", dtype={"walk_id": str})
    signals = [DATA / "train_signals" / f"{name}.npy" for name in train["walk_id"]]
    table = [features(age, path) for age, path in zip(train["age"], signals, strict=True)]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    auc = cross_val_score(model, table, train["fall"], scoring="roc_auc").mean()
    print(f"AUC {auc:.3f} in cross-validation")

    WEIGHTS.mkdir(exist_ok=True)
    saved = {"pipeline": model.fit(table, train["fall"]), "prevalence": train["fall"].mean()}
    joblib.dump(saved, WEIGHTS / "model.joblib")


if __name__ == "__main__":
    main()
