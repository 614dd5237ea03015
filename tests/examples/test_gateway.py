"""The example with a gateway, run directly: it answers the public test through its own gateway."""

from pathlib import Path

import pandas as pd

from bundler.competition import profile
from tests.examples.conftest import Copy, python


def test_the_public_test_by_the_local_gateway(trained: Copy, tmp_path: Path) -> None:
    folder = trained("gateway")
    python(
        tmp_path,
        folder / "submit.py",
        RSNA_BUNDLE_COMPETITION=str(folder / "data"),
        RSNA_BUNDLE_MODEL=str(folder / "weights"),
    )
    answers = pd.read_parquet(tmp_path / "submission.parquet")
    public = pd.read_csv(folder / "data" / "test.csv", dtype={"walk_id": str})
    assert list(answers["walk_id"]) == list(public["walk_id"])
    assert answers["fall"].between(0, 1).all()
    assert answers["fall"].nunique() == len(public)


def test_what_is_understood_of_it(trained: Copy) -> None:
    found = profile.read(trained("gateway") / "data")
    assert not found.questions
    assert found.gateway is not None
    assert not found.gateway.missing
    assert (found.hidden.unit, found.hidden.targets) == ("walk_id", ("fall",))
