"""The files of a new repository: a submit.py that is valid on day one, an empty wheelhouse.txt.

A rehearsal knows the submit.py that nobody has touched yet: its answers are the sample's own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bundler.competition.gateway import skeleton as server

WHEELHOUSE = """\
# What your code imports and the notebook's image lacks: a package a line, in pip's syntax.
# Nothing yet; the image has PyTorch, pandas and scikit-learn, for instance.
"""

SUBMIT = '''\
"""Write a submission for {competition}: an answer for every row, then the model's.

On the laptop: RSNA_BUNDLE_COMPETITION=data RSNA_BUNDLE_MODEL=. python submit.py
"""

import os
from pathlib import Path

import pandas as pd

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])  # the competition's files
MODEL = Path(os.environ.get("RSNA_BUNDLE_MODEL", "."))  # `--files weights` is MODEL / "weights"
SAMPLE = COMPETITION / {sample}
IDS = {ids}


def predict(test: pd.DataFrame) -> pd.DataFrame:
    """Return the submission's columns for as many rows as you can. Yours to write."""
    return pd.DataFrame(columns=IDS)


def main() -> None:
    """Write {submission} with the rows of the sample, in its order."""
    sample = {read_sample}
    test = {read_test}
    # The sample's own answers come first: a row that `predict` leaves out keeps them. They are
    # objects, since a column that is whole numbers in the sample may get probabilities.
    submission = sample.set_index(IDS).astype(object)
    answers = predict(test).set_index(IDS)
    submission.update(answers)
    submission.infer_objects().reset_index().{write}
    print(f"{{len(submission)}} rows, {{submission.index.isin(answers.index).sum()}} predicted")


if __name__ == "__main__":
    main()
'''

COPY = '''\
"""Write a submission for {competition}: the sample's answers, until there are better ones.

On the laptop: RSNA_BUNDLE_COMPETITION=data RSNA_BUNDLE_MODEL=. python submit.py
"""

import os
import shutil
from pathlib import Path

COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])  # the competition's files
MODEL = Path(os.environ.get("RSNA_BUNDLE_MODEL", "."))  # `--files weights` is MODEL / "weights"


def main() -> None:
    """Write {submission}."""
    shutil.copyfile(COMPETITION / {sample}, "{submission}")


if __name__ == "__main__":
    main()
'''


# What every skeleton has in it until its owner writes a prediction, and what to do about it then.
UNTOUCHED = {
    SUBMIT[SUBMIT.index("def predict") : SUBMIT.index("def main")].strip(): "Replace `predict()`",
    "until there are better ones.": "Replace the copy of the sample",
}


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables that a submission is made from; file names, "" where there is none."""

    sample: str = "sample_submission.csv"
    test: str = "test.csv"
    submission: str = "submission.csv"
    ids: Sequence[str] = ()  # columns; none: the first of the sample


def what_to_replace(text: str) -> str:
    """Return what a submit.py that is as it was written asks for; "" for one of the user's own."""
    if server.is_untouched(text):
        return "Replace `predict()`"
    return next((advice for part, advice in UNTOUCHED.items() if part in text), "")


def submit(competition: str, tables: Tables) -> str:
    """Return the text of a submit.py that uses nothing but pandas, which the image has."""
    # pandas reads a zipped csv file as the file itself.
    names = (tables.sample.removesuffix(".zip") or tables.sample, tables.submission)
    sample_kind, kind = (PurePosixPath(name).suffix for name in names)
    if {sample_kind, kind} - {".csv", ".parquet"}:
        return COPY.format(
            competition=competition,
            sample=json.dumps(tables.sample),
            submission=tables.submission,
        )
    known = json.dumps(list(tables.ids), ensure_ascii=False)
    parquet = kind == ".parquet"
    return SUBMIT.format(
        competition=competition,
        sample=json.dumps(tables.sample),
        submission=tables.submission,
        ids=known if tables.ids else f"list({_reader(sample_kind)}(SAMPLE).columns[:1])",
        # Ids are text: leading zeros stay. Parquet knows the types of its columns.
        read_sample="pd.read_parquet(SAMPLE)"
        if sample_kind == ".parquet"
        else "pd.read_csv(SAMPLE, dtype=dict.fromkeys(IDS, str))",
        read_test=_read_test(tables.test),
        write=f'{"to_parquet" if parquet else "to_csv"}("{tables.submission}", index=False)',
    )


def _reader(suffix: str) -> str:
    return "pd.read_parquet" if suffix == ".parquet" else "pd.read_csv"


def _read_test(name: str) -> str:
    if not name:
        return "sample[IDS]"
    path = f"COMPETITION / {json.dumps(name, ensure_ascii=False)}"
    if PurePosixPath(name).suffix == ".parquet":
        return f"pd.read_parquet({path})"
    if PurePosixPath(name).suffix in (".jsonl", ".ndjson"):
        return f"pd.read_json({path}, lines=True, dtype=dict.fromkeys(IDS, str))"
    return f"pd.read_csv({path}, dtype=dict(sample.dtypes[IDS]))"
