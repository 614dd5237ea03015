"""The notebook runs on Kaggle with the bundles that it was made for, or it is said why not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.errors import CheckError
from bundler.publish import bundles, push, status
from bundler.publish.bundles import KINDS
from bundler.settings import Settings
from tests.kaggle.server import COMPETITION, USER, Kaggle

MakeBundle = Callable[..., Path]
NOTEBOOK = f"{USER}/rsna-bundle-submission"


@pytest.fixture
def said() -> list[str]:
    """What the commands tell on their way."""
    return []


@pytest.fixture
def published(
    kaggle: Kaggle, settings: Settings, make_bundle: MakeBundle, said: list[str]
) -> Kaggle:
    """Kaggle with the three bundles of `dist`."""
    for kind in KINDS:
        make_bundle(kind)
    bundles.publish(settings, settings.dist, KINDS, said.append)
    kaggle.calls.clear()
    return kaggle


def test_push_follows_and_compares(published: Kaggle, settings: Settings, said: list[str]) -> None:
    pushed = push.push(settings, settings.dist, said.append)
    assert pushed.version.number == 1
    assert (pushed.outputs / "submission.csv").read_bytes().startswith(b"prediction_id")
    (run,) = published.kernels.all[NOTEBOOK]
    assert run.body["enableInternet"] is False if "enableInternet" in run.body else True
    assert run.body["isPrivate"]
    assert run.body["machineShape"] == "NvidiaTeslaT4"
    assert run.body["competitionDataSources"] == [COMPETITION]
    assert len(run.body["datasetDataSources"]) == 3
    assert "submission.csv: 2 breasts" in said  # the log was streamed
    screen = status.look(settings, said.append)
    assert [row.stale for row in screen.rows] == ["", "", ""]
    assert "complete" in screen.summary()


def test_what_is_not_published_is_not_pushed(
    published: Kaggle, settings: Settings, make_bundle: MakeBundle, said: list[str]
) -> None:
    make_bundle("code", content=b"newer")
    with pytest.raises(CheckError, match="rsna-bundle publish code"):
        push.push(settings, settings.dist, said.append)
    assert not published.kernels.all
    stale = {row.kind: row.stale for row in status.look(settings, said.append).rows}
    assert stale["code"].startswith("not published")
