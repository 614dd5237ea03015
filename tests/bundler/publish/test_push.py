"""The notebook runs on Kaggle with the bundles that it was made for, or it is said why not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import CheckError
from bundler.publish import bundles, push, status
from bundler.publish.bundles import KINDS, PublishOptions
from bundler.settings import Settings
from tests.kaggle.server import COMPETITION, USER, Kaggle
from tests.recorder import Recorder

MakeBundle = Callable[..., Path]
NOTEBOOK = f"{USER}/rsna-bundle-submission"


@pytest.fixture
def progress() -> Recorder:
    """The progress of the commands."""
    return Recorder()


@pytest.fixture
def published(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, progress: Recorder
) -> Kaggle:
    """Kaggle with the three bundles of `dist`."""
    for kind in KINDS:
        make_bundle(kind)
    bundles.publish(settings, settings.dist, PublishOptions(), progress)
    kaggle.calls.clear()
    return kaggle


def test_push_follows_and_compares(
    published: Kaggle, settings: Settings, progress: Recorder
) -> None:
    pushed = push.push(settings, settings.dist, progress)
    assert pushed.version.number == 1
    assert (pushed.outputs / "submission.csv").read_bytes().startswith(b"prediction_id")
    (run,) = published.kernels.all[NOTEBOOK]
    assert run.body["enableInternet"] is False if "enableInternet" in run.body else True
    assert run.body["isPrivate"]
    assert run.body["machineShape"] == "NvidiaTeslaT4"
    assert run.body["competitionDataSources"] == [COMPETITION]
    assert len(run.body["datasetDataSources"]) == 3
    assert "submission.csv: 2 breasts" in progress.texts  # the log was streamed
    screen = status.look(settings, progress)
    assert [row.stale for row in screen.rows] == ["", "", ""]
    assert "complete" in screen.summary()


def test_what_is_not_published_is_not_pushed(
    published: Kaggle, settings: Settings, make_bundle: MakeBundle, progress: Recorder
) -> None:
    make_bundle("code", content=b"newer")
    with pytest.raises(CheckError, match="rsna-bundle publish code"):
        push.push(settings, settings.dist, progress)
    assert not published.kernels.all
    stale = {row.kind: row.stale for row in status.look(settings, progress).rows}
    assert stale["code"].startswith("not published")


def test_libs_for_another_target_are_not_pushed(
    published: Kaggle, settings: Settings, progress: Recorder
) -> None:
    """The settings were changed after the bundle was built and published."""
    moved = replace(settings, target=("kaggle-gpu-2026-06",))
    with pytest.raises(CheckError, match=r"was made for kaggle-gpu-2026-10, and the settings ask"):
        push.push(moved, settings.dist, progress)
    assert not published.kernels.all.get(NOTEBOOK)
