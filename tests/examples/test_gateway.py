"""The example with a gateway: run directly, rehearsed by its README's commands, and submitted."""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from bundler import settings
from bundler.competition import profile
from bundler.publish import bundles, push, submit
from bundler.publish.bundles import PublishOptions
from bundler.publish.client import connect
from bundler.publish.submit import SubmitOptions
from bundler.sandbox import backends, pod
from tests.examples.conftest import Copy, python
from tests.examples.test_journey import rehearse, run
from tests.kaggle.competitions import Competition
from tests.kaggle.execution import execute_with
from tests.kaggle.server import serve
from tests.kaggle.world import DELAYS
from tests.recorder import Recorder

SLUG = "phantom-gait"


def test_the_public_test_by_the_local_gateway(trained: Copy, tmp_path: Path) -> None:
    folder = trained("gateway")
    for _ in range(2):  # the second finds what the first has left
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


def on_this_machine(folder: Path) -> None:
    """Let this machine stand for the notebook's image, as its Python does."""
    path = folder / "pyproject.toml"
    path.write_text(
        path.read_text().replace('"phantom-gait"\n', '"phantom-gait"\ntarget = "host"\n')
    )


def test_to_a_rehearsed_submission(copy: Copy) -> None:
    if (reason := backends.reasons()[pod.BACKEND]) and "CI" not in os.environ:
        pytest.skip(f"no sandbox on this machine: {reason}")
    folder = copy("gateway")
    on_this_machine(folder)
    run(folder, "rsna-bundle competition --competition-dir data --write")
    assert settings.load(folder).hidden.submission == "submission.parquet"
    result = rehearse(folder, "gateway")
    assert result["passed"]
    statuses = {check["name"]: check["status"] for check in result["checks"]}
    for name in ("server starts", "gateway", "serves to the end", "submission.parquet", "ids"):
        assert statuses[name] == "passed"
    # Committed without a rerun, the notebook's own gateway answers the public test.
    assert statuses["submission.parquet (public test)"] == "passed"
    assert result["curves"][0]["name"] == "Seconds of each call"
    assert len(result["curves"][0]["values"]) > 5
    page = (folder / "dist/rehearsal/report.html").read_text()
    assert "Call after call" in page
    assert re.search(r'aria-label="Seconds of each call: at most [\d.e-]+ s"', page)


def test_the_skeleton_to_a_rehearsed_submission(trained: Copy, tmp_path: Path) -> None:
    """Nothing but the competition's files, and no model: serves, and is known to be no answer."""
    if (reason := backends.reasons()[pod.BACKEND]) and "CI" not in os.environ:
        pytest.skip(f"no sandbox on this machine: {reason}")
    folder = tmp_path / "an empty folder"
    shutil.copytree(trained("gateway") / "data", folder / "data")
    for command in (
        f"rsna-bundle init --target host --competition-dir data --competition {SLUG}",
        "rsna-bundle libs --no-install-test",
        "git init -q && git add . && git commit -qm Start",
        "rsna-bundle code",
        "rsna-bundle notebook",
        f"rsna-bundle rehearse --quick --python {shlex.quote(sys.executable)}",
    ):
        run(folder, command)
    result = json.loads((folder / "dist/rehearsal/rehearsal.json").read_text())
    checks = {check["name"]: check for check in result["checks"]}
    for name in ("server starts", "gateway", "serves to the end", "submission.parquet", "ids"):
        assert checks[name]["status"] == "passed"
    assert checks["constant"]["status"] == "unproven"
    assert "still as `init` wrote it. Replace `predict()`" in checks["constant"]["message"]


def test_from_the_bundles_to_a_submission(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pushed runs without a rerun and leaves what Kaggle's form asks for by its name."""
    folder = copy("gateway")
    on_this_machine(folder)
    for command in (
        "rsna-bundle libs --no-install-test",
        "git init -q && git add . && git commit -qm Start",
        "rsna-bundle model --files weights/model.joblib",
        "rsna-bundle code",
    ):
        run(folder, command)
    home = tmp_path / "home"
    home.mkdir()
    with serve() as kaggle:
        kaggle.competitions.all[SLUG] = Competition(slug=SLUG)
        kaggle.kernels.runner = execute_with(sys.executable, {SLUG: folder / "data"}, {})
        for name, value in kaggle.environment(home).items():
            monkeypatch.setenv(name, value)
        for (module, name), value in DELAYS.items():
            monkeypatch.setattr(module, name, value)
        own, progress = settings.load(folder), Recorder()
        client = connect(progress)
        bundles.publish(own, own.dist, PublishOptions(), progress)
        pushed = push.push_by(client, own, own.dist)
        assert pushed.file == "submission.parquet"
        assert len(pd.read_parquet(pushed.outputs / "submission.parquet")) == 3
        entry = submit.send(client, own, pushed, SubmitOptions())
        assert entry.public == "0.41"
        (sent,) = kaggle.competitions.all[SLUG].submissions
        assert sent.file == "submission.parquet"
