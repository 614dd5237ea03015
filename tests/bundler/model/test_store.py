"""Checkpoints out of a real MLflow store, as the training tracks them."""

import math
from pathlib import Path

import pytest

from bundler.errors import InputError, NetworkError, UsageError
from bundler.model import out_of_fold, selection, store
from bundler.model.options import Choice
from tests.bundler.model.checkpoints import save
from tests.bundler.model.test_thresholds import drawn, write
from train import tracking
from train.tracking import Tracker


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of three runs: the best one has two folds, the last one diverged."""
    runs = tmp_path_factory.mktemp("runs")
    uri = tracking.default_uri(runs)
    for name, scores in (("good", [0.5, 0.4]), ("bad", [0.2]), ("lost", [math.nan])):
        (runs / name).mkdir()
        tracker = Tracker(runs / name, uri, "rsna-breast", name)
        for fold, score in enumerate(scores):
            tracker.metrics({f"fold{fold}/pfbeta": score, f"fold{fold}/loss": 1 - score}, 3)
            path = runs / name / f"fold{fold}_epoch03_vpfbeta{score:.3f}.pt"
            save(path, fold=fold, epoch=3, run_id=tracker.run_id, metrics={"pfbeta": score})
            tracker.artifact(path, "checkpoints")
        tracker.artifact(write_folds(runs / name / "oof.csv", len(scores)))
        tracker.end()
        assert tracker.send()
        (runs / f"{name}.id").write_text(tracker.run_id)
    return uri


def write_folds(path: Path, folds: int) -> Path:
    """Write out-of-fold rows of several folds into one file."""
    header, *rows = write(path, drawn(breasts=40)).read_text().splitlines()
    turned = (row.split(",") for row in rows)
    lines = (
        ",".join([*row[:6], str(int(row[1]) % folds), *row[7:]]) for row in turned
    )  # by patient
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def run_id(uri: str, name: str) -> str:
    return (Path(uri.removeprefix("sqlite:///")).parent / f"{name}.id").read_text()


def chosen(choice: Choice) -> list[str]:
    with store.fetched(choice) as fetched:
        return [one.path.name for one in selection.select(fetched).chosen]


GOOD = ["fold0_epoch03_vpfbeta0.500.pt", "fold1_epoch03_vpfbeta0.400.pt"]
BAD = ["fold0_epoch03_vpfbeta0.200.pt"]


def test_the_best_run_by_a_metric(uri: str) -> None:
    assert chosen(Choice(store=uri, best="pfbeta")) == GOOD
    assert chosen(Choice(store=uri, best="loss")) == GOOD  # the lowest
    assert chosen(Choice(store=uri, best="vpfbeta")) == GOOD  # as in names


def test_a_run_by_its_id(uri: str) -> None:
    assert chosen(Choice(store=uri, run=run_id(uri, "bad"))) == BAD


def test_the_threshold_can_be_found_on_the_runs_own_rows(uri: str) -> None:
    """They lie beside the checkpoints as the training left them: a file for each fold."""
    with store.fetched(Choice(store=uri, best="pfbeta")) as choice:
        (folder,) = choice.checkpoints
        parts = [out_of_fold.read([folder / f"fold{fold}.oof.csv"]) for fold in (0, 1)]
        whole = out_of_fold.read([folder / "oof.csv"])
    assert not set(parts[0].patients) & set(parts[1].patients)
    assert sum(len(part.labels) for part in parts) == len(whole.labels)


def test_what_is_not_there_is_named(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run nobody among its 3\. .* newest are .*good"):
        chosen(Choice(store=uri, run="nobody"))
    with pytest.raises(UsageError, match=r"records auc; they record loss, pfbeta"):
        chosen(Choice(store=uri, best="auc"))
    missing = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(InputError, match="There is no MLflow store"):
        chosen(Choice(store=missing, best="pfbeta"))
    with pytest.raises(NetworkError, match="cannot be used"):
        chosen(Choice(store="http://127.0.0.1:9", best="pfbeta"))


def test_lost_artifacts_are_named(uri: str, tmp_path: Path) -> None:
    """As after a copy of the database alone."""
    runs = Path(uri.removeprefix("sqlite:///")).parent
    (runs / "artifacts").rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(InputError, match="copied loses its artifacts"):
            chosen(Choice(store=uri, best="pfbeta"))
    finally:
        (tmp_path / "elsewhere").rename(runs / "artifacts")
