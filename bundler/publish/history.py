"""submissions.csv: past submissions, their origin and scores; the scores go to MLflow, too."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bundler import atomic
from bundler.errors import BundlerError, InputError
from bundler.progress import Progress
from bundler.publish.competition import Score
from bundler.result import Json
from inference.boot.bundle import Bundle
from inference.boot.card import Checkpoint
from inference.boot.manifest import Model, ModelFiles, Weights
from inference.report import METRICS

NAME = "submissions.csv"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One submission: a line of the table, all as text."""

    id: str
    when: str
    commit: str
    checkpoint: str
    threshold: str
    metric: str
    cv: str
    public: str
    private: str
    notebook: str
    message: str
    run_ids: str

    @property
    def scored(self) -> bool:
        """Return whether a score is known."""
        return bool(self.public or self.private)


COLUMNS = tuple(column.name for column in fields(Entry))
SHOWN = ("id", "when", "commit", "checkpoint", "threshold", "cv", "public", "private", "message")


def describe(
    ref: int, when: str, code: Bundle, model: Bundle | None, notebook: str, message: str
) -> Entry:
    """Return the row of a submission that has no score yet."""
    part = model.manifest.part if model else None
    models = part.models if isinstance(part, Model) else ()
    folds = [fold for entry in models for fold in entry.checkpoints]
    # Of files of any kind only what their names or headers say is known.
    scored = part.weights if isinstance(part, ModelFiles) else folds
    metric, value = cross_validation(scored)
    dirty = "+dirty" if code.code.dirty else ""
    return Entry(
        id=str(ref),
        when=when,
        commit=code.code.commit[:12] + dirty,
        checkpoint=" ".join(one.name for one in scored),
        threshold=" ".join(_text(entry.threshold) for entry in models),
        metric=metric,
        cv=_text(value),
        public="",
        private="",
        notebook=notebook,
        message=message,
        run_ids=" ".join(sorted({fold.run_id for fold in folds if fold.run_id})),
    )


def cross_validation(folds: Sequence[Checkpoint | Weights]) -> tuple[str, float | None]:
    """Return the metric that all checkpoints record, and its mean; "" and None if there is none."""
    for name in METRICS:
        values = [fold.metrics.get(name) for fold in folds]
        if values and all(isinstance(value, int | float) for value in values):
            return name, fmean(value for value in values if value is not None)
    return "", None


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def read(root: Path) -> list[Entry]:
    """Return the table, oldest first. Raises InputError if it cannot be read."""
    path = root / NAME
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return [Entry(**{name: row[name] or "" for name in COLUMNS}) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputError(
            f"Could not read {path} ({error!r}); its columns must be {', '.join(COLUMNS)}. Restore "
            "it from git, or rename it."
        ) from error


def record(root: Path, entry: Entry) -> None:
    """Add a row, or replace this submission's."""
    entries = [one for one in read(root) if one.id != entry.id]
    write(root, [*entries, entry])


def write(root: Path, entries: Sequence[Entry]) -> None:
    """Write the table in one step."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(vars(entry) for entry in entries)
    try:
        atomic.write_text(root / NAME, text.getvalue())
    except OSError as error:
        raise BundlerError(
            f"Could not write {root / NAME}: {error.strerror}. Its content would be:\n"
            f"{text.getvalue()}"
        ) from error


def scored(entry: Entry, score: Score) -> Entry:
    """Return a row with its scores."""
    return replace(entry, public=_text(score.public), private=_text(score.private))


@dataclass(frozen=True, kw_only=True)
class History:
    """All submissions, oldest first."""

    entries: Sequence[Entry]

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return {"submissions": [vars(entry) for entry in self.entries]}

    def summary(self) -> str:
        """Return a table for people, newest first."""
        return _render(self.entries)


def load(root: Path) -> History:
    """Return all submissions. Raises InputError if the table cannot be read."""
    return History(entries=read(root))


def _render(entries: Sequence[Entry]) -> str:
    if not entries:
        return f"No submissions yet: there is no {NAME}."
    rows = [SHOWN, *(tuple(getattr(entry, name) for name in SHOWN) for entry in entries[::-1])]
    rows = [tuple(_short(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(SHOWN))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# --- MLflow ---


def store(root: Path) -> str | None:
    """Return the MLflow store that training tracks to, or None if there is none."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    database = root / "runs" / "mlflow.db"
    return f"sqlite:///{database}" if database.is_file() else None


def track(root: Path, entry: Entry, progress: Progress) -> int:
    """Write a submission's scores to the runs that it came from; return their number.

    A store that cannot be reached is only warned of, since the table holds the scores.
    """
    uri = store(root)
    if not uri or not entry.run_ids or not entry.scored:
        return 0
    try:
        from train import tracking
    except ImportError:
        return 0
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with tracking.quietly():
            return _track(tracking, uri, entry)
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        progress.warn(
            f"Could not write the scores to MLflow ({uri}): {first[:200]} {NAME} has them."
        )
        return 0


def _track(tracking: Any, uri: str, entry: Entry) -> int:
    client = tracking.open_client(uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    count = 0
    for run_id in entry.run_ids.split():
        ours = f"tags.`{tracking.TAG}` = '{run_id}'"
        for run in client.search_runs(experiments, ours, max_results=1) if experiments else ():
            for name in ("public", "private"):
                if text := getattr(entry, name):
                    client.log_metric(run.info.run_id, f"kaggle_{name}", float(text))
            client.set_tag(run.info.run_id, "kaggle.submission", entry.id)
            client.set_tag(run.info.run_id, "kaggle.notebook", entry.notebook)
            count += 1
    return count
