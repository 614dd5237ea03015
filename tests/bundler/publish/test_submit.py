"""One command carries a commit to a score, and writes it down beside the cross-validation."""

import csv
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import CheckError, InputError
from bundler.progress import SILENT
from bundler.publish import bundles, history, push, status, submit
from bundler.publish.bundles import PublishOptions
from bundler.publish.submit import SubmitOptions
from bundler.settings import Settings
from inference.boot import bundle as reader
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import serving
from tests.kaggle.server import COMPETITION, USER, Kaggle
from tests.kaggle.world import NOTEBOOK, write_bundle
from tests.recorder import Recorder
from train import tracking

OPTIONS = SubmitOptions(message="first try", rehearse=False)


@pytest.fixture
def ready(
    kaggle: Kaggle, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """A repository with a model bundle and a list of packages, nothing published."""
    (repository / "wheelhouse.txt").write_text("alpha\n")
    (repository / ".gitignore").write_text("dist/\nruns/\n")
    commit(repository, "Say what is needed")
    made = write_bundle(tmp_path, "model", b"weights")
    (repository / "dist").mkdir()
    made.rename(repository / "dist" / "model")
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    with serving() as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        index.add(wheel("alpha", "1.0"))
        yield Settings(root=repository, target=("host",))


def commit(repository: Path, message: str) -> None:
    """Commit all there is."""
    for arguments in (["add", "."], ["commit", "-qm", message]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)


def tracked_run(root: Path, run_id: str) -> str:
    """Track a training as `train` does; return MLflow's id."""
    (root / "runs").mkdir(exist_ok=True)
    uri = tracking.default_uri(root / "runs")
    with tracking.quietly():
        client = tracking.open_client(uri)
        experiment = tracking.open_experiment(client, uri, "rsna")
        made = client.create_run(experiment, tags={tracking.TAG: run_id})
    return str(made.info.run_id)


def test_commit_to_score(ready: Settings, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = tracked_run(ready.root, "run0")
    progress = Recorder()
    entry = submit.submit(ready, OPTIONS, progress).entry
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ready.root, capture_output=True, text=True, check=True
    ).stdout
    assert entry.commit == head[:12]
    assert (entry.metric, entry.cv, entry.public, entry.private) == ("pfbeta", "0.45", "0.41", "")
    assert (entry.threshold, entry.checkpoint) == ("0.31", "fold0.pt fold1.pt")
    (made,) = kaggle.competitions.all[COMPETITION].submissions
    assert (made.kernel, made.description) == (f"{NOTEBOOK}/1", "first try")
    with (ready.root / "submissions.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert row == vars(entry)
    with tracking.quietly():
        stored = tracking.open_client(tracking.default_uri(ready.root / "runs")).get_run(run)
    assert stored.data.metrics == {"kaggle_public": 0.41}
    assert stored.data.tags["kaggle.submission"] == entry.id
    assert "0.45" in history.History(entries=history.read(ready.root)).summary()

    # The table has grown, which is no change of the commit; nothing is uploaded again.
    before = kaggle.datasets.bytes_received
    again = submit.submit(ready, OPTIONS, progress).entry
    assert again.commit == entry.commit
    assert kaggle.datasets.bytes_received == before
    assert [one.id for one in history.read(ready.root)] == [entry.id, again.id]


def test_a_plan_writes_and_sends_nothing(ready: Settings, kaggle: Kaggle) -> None:
    before = sorted(path for path in ready.root.rglob("*") if ".git" not in path.parts)
    plan = submit.plan(ready, OPTIONS, SILENT)
    both = "build and publish"
    assert [step.action for step in plan.steps] == [both, "publish", both]
    assert f"{USER}/rsna-bundle-submission" in plan.summary()
    assert sorted(path for path in ready.root.rglob("*") if ".git" not in path.parts) == before
    changing = ("Create", "Save", "Start", "PUT")
    assert not [call for call in kaggle.calls if any(name in call for name in changing)]


def test_what_stops_a_submission_stops_it_early(ready: Settings, kaggle: Kaggle) -> None:
    kaggle.competitions.all[COMPETITION].daily = 0
    with pytest.raises(CheckError, match="left today"):
        submit.submit(ready, OPTIONS, SILENT)
    assert not (ready.dist / "code").exists()
    kaggle.competitions.all[COMPETITION].daily = 5
    (ready.dist / "model" / reader.MANIFEST).unlink()
    with pytest.raises(InputError, match="rsna-bundle model --ckpt"):
        submit.submit(ready, OPTIONS, SILENT)
    assert not kaggle.datasets.all


def test_a_command_of_ones_own_goes_without_a_model(ready: Settings, kaggle: Kaggle) -> None:
    """What the rules of a table need is a commit and packages; nothing asks for weights."""
    shutil.rmtree(ready.dist / "model")
    own = replace(ready, run="python submit.py")
    assert [step.kind for step in submit.plan(own, OPTIONS, SILENT).steps] == ["libs", "code"]
    entry = submit.submit(own, OPTIONS, SILENT).entry
    assert (entry.public, entry.checkpoint) == ("0.41", "")
    assert {name.rpartition("-")[2] for name in kaggle.datasets.all} == {"libs", "code"}
    rows = status.look(own, SILENT).rows
    assert [(row.kind, row.stale) for row in rows] == [("libs", ""), ("code", "")]
    published = bundles.publish(own, own.dist, PublishOptions(), SILENT)
    assert [one.kind for one in published.datasets] == ["libs", "code"]
    assert set(push.push(own, own.dist, SILENT).ids) == {"libs", "code"}


@pytest.mark.parametrize("run", [None, "python -m inference.run --flip"])
def test_the_runner_in_the_box_needs_a_model(
    ready: Settings, kaggle: Kaggle, run: str | None
) -> None:
    shutil.rmtree(ready.dist / "model")
    own = replace(ready, run=run)
    with pytest.raises(InputError, match="no model bundle"):
        submit.submit(own, OPTIONS, SILENT)
    own = replace(own, target=Settings.target)  # that these libs are made for
    for kind in ("libs", "code"):
        write_bundle(own.root, kind, b"x")
    with pytest.raises(InputError, match="no model bundle"):
        bundles.publish(own, own.dist, PublishOptions(), SILENT)
    with pytest.raises(InputError, match="no model bundle"):
        push.push(own, own.dist, SILENT)
    assert [row.kind for row in status.look(own, SILENT).rows] == ["libs", "model", "code"]
    assert not kaggle.datasets.all


def test_a_score_that_comes_later(ready: Settings, kaggle: Kaggle) -> None:
    options = SubmitOptions(rehearse=False, wait=False)
    entry = submit.submit(ready, options, SILENT).entry
    assert not entry.scored
    assert entry.message.startswith(f"commit {entry.commit} libs ")
    (updated,) = submit.update(ready, SILENT).entries
    assert updated.public == "0.41"


def test_a_mangled_table_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "submissions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="its columns must be"):
        history.read(tmp_path)
