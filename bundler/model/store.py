"""Checkpoints in an MLflow store: those of one run, or of the run that was best."""

import csv
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from bundler.errors import InputError, NetworkError, UsageError
from bundler.model import metrics
from bundler.model.checkpoint import SUFFIXES
from bundler.model.criterion import Criterion
from bundler.model.options import Choice
from inference.boot import folders

OOF = "oof.csv"  # of all folds, where the training tracked it
_MOST_RUNS = 1000
_SHOWN = 3  # runs that a message lists
_MOST_DEEP = 3  # folders of artifacts below a run that are looked through


@contextmanager
def fetched(choice: Choice) -> Iterator[Choice]:
    """Yield the choice with the checkpoints of the run that they name, if any, among the files."""
    if choice.run is None and choice.best is None:
        yield choice
        return
    try:
        from train import tracking
    except ImportError as error:
        raise UsageError(
            "--run and --best need MLflow: pip install 'rsna-bundle[train]'."
        ) from error
    parent = Path(tempfile.gettempdir())  # what a kill left there is removed, too
    with folders.unfinished(parent, "rsna-bundle-run-") as folder, tracking.quietly():
        try:
            run, client = _find(tracking, choice)
            _download(client, run, folder)
        except _store_errors() as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise NetworkError(
                f"The MLflow store {choice.store} cannot be used: {first[:300]} Name it with "
                "--store, as `sqlite:///path/mlflow.db` or `https://…`."
            ) from error
        yield replace(choice, checkpoints=(*choice.checkpoints, folder))


def _find(tracking: Any, choice: Choice) -> tuple[Any, Any]:
    """Return the run that was named, and the store's client."""
    database = urlparse(choice.store)
    if database.scheme == "sqlite" and not Path(database.path[1:]).is_file():
        raise InputError(
            f"There is no MLflow store {choice.store}. Name it with --store, or train with "
            "tracking first."
        )
    client = tracking.open_client(choice.store)
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = list(client.search_runs(experiments, max_results=_MOST_RUNS)) if experiments else []
    if choice.run is not None:
        for run in runs:
            if choice.run in (run.info.run_id, run.data.tags.get(tracking.TAG)):
                return run, client
        newest = ", ".join(f"{run.info.run_id} ({run.info.run_name})" for run in runs[:_SHOWN])
        raise InputError(
            f"{choice.store} has no run {choice.run} among its {len(runs)}. Give a run's id; "
            f"the newest are {newest or 'none'}."
        )
    criterion = Criterion.of(str(choice.best))
    scored = [(score, run) for run in runs if (score := _score(run, criterion.metric)) is not None]
    if not scored:
        names = sorted({_bare(name) for run in runs for name in run.data.metrics})
        raise UsageError(
            f"No run in {choice.store} records {choice.best}; they record "
            f"{', '.join(names[:12]) or 'nothing'}."
        )
    choose = max if criterion.higher else min
    return choose(scored, key=lambda pair: (pair[0], pair[1].info.run_id))[1], client


def _score(run: Any, metric: str) -> float | None:
    """Return a run's metric, the mean of its folds where they have one each; none if it is NaN."""
    recorded = dict(run.data.metrics)
    score = metrics.find(recorded, metric)
    if score is None:
        each = (metrics.find({_bare(name): recorded[name]}, metric) for name in recorded)
        folds = [value for value in each if value is not None]
        score = sum(folds) / len(folds) if folds else None
    return None if score is None or math.isnan(score) else score


def _bare(name: str) -> str:
    """Return the name of a metric without its fold: fold0/pfbeta is pfbeta."""
    fold, slash, bare = name.partition("/")
    return bare if slash and fold.startswith("fold") else name


def _download(client: Any, run: Any, folder: Path) -> None:
    """Copy a run's checkpoints into a folder."""
    pending, paths = [(None, 0)], []
    while pending:
        folder_path, depth = pending.pop()
        for entry in client.list_artifacts(run.info.run_id, folder_path):
            if entry.is_dir and depth < _MOST_DEEP:
                pending.append((entry.path, depth + 1))
            elif Path(entry.path).suffix in SUFFIXES:
                paths.append(entry.path)
    for path in paths:
        copy = Path(client.download_artifacts(run.info.run_id, path, str(folder)))
        if copy.parent != folder:
            copy.rename(folder / copy.name)
    if any(entry.path == OOF for entry in client.list_artifacts(run.info.run_id)):
        _split(Path(client.download_artifacts(run.info.run_id, OOF, str(folder))))
    if not paths:
        raise InputError(
            f"The run {run.info.run_id} holds no checkpoint (artifacts are looked for in "
            f"{run.info.artifact_uri}). A database that was copied loses its artifacts: name the "
            "checkpoints with --ckpt."
        )


def _split(oof: Path) -> None:
    """Put a run's out-of-fold rows beside its checkpoints, a file a fold, as training did."""
    header, *rows = oof.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    names = next(csv.reader([header]), [])
    if "fold" not in names:
        return
    folds: dict[str, list[str]] = {}
    for row, line in zip(csv.reader(rows), rows, strict=False):
        if len(row) == len(names):
            folds.setdefault(row[names.index("fold")], [header]).append(line)
    for fold, lines in folds.items():
        if fold.isdigit():
            text = "".join(lines)
            oof.with_name(f"fold{fold}.oof.csv").write_text(text, encoding="utf-8", newline="")


def _store_errors() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, RequestException, SQLAlchemyError, OSError
