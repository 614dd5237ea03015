"""Fit gradient boosted trees to the training table, and save them."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

DATA, WEIGHTS = Path("data"), Path("weights")
ID, TARGET = "patient_id", "readmitted"


def main() -> None:
    """Report the cross-validated AUC, then fit on everything."""
    train = pd.read_csv(DATA / "train.csv", dtype={ID: str}).set_index(ID)
    labels = train.pop(TARGET)
    # A category that training never saw becomes a missing value, which the trees understand.
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns = make_column_transformer(
        (categories, make_column_selector(dtype_exclude="number")), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=50, random_state=0))
    auc = cross_val_score(model, train, labels, scoring="roc_auc").mean()
    print(f"AUC {auc:.3f} in cross-validation")

    WEIGHTS.mkdir(exist_ok=True)
    saved = {"model": model.fit(train, labels), "prevalence": labels.mean()}
    joblib.dump(saved, WEIGHTS / "model.joblib")


if __name__ == "__main__":
    main()
