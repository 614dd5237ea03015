"""From three bundles to a score: real bundles, a real notebook's run, Kaggle on loopback."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.errors import CheckError
from bundler.publish import bundles, push, submit
from bundler.publish.bundles import KINDS, PublishOptions
from bundler.publish.client import connect
from bundler.publish.submit import SubmitOptions
from bundler.settings import Settings
from tests.integration.conftest import Demo
from tests.kaggle.execution import execute_with
from tests.kaggle.server import COMPETITION, Kaggle, serve
from tests.kaggle.world import DELAYS, NOTEBOOK
from tests.recorder import Recorder


@dataclass(frozen=True)
class Laptop:
    """The demo's three bundles, and a Kaggle that executes what is pushed."""

    settings: Settings
    kaggle: Kaggle


@pytest.fixture
def laptop(demonstrated: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    """Copy the bundles, and let Kaggle mount the demo's competition."""
    for kind in KINDS:
        shutil.copytree(demonstrated.out / kind, tmp_path / "dist" / kind)
    home = tmp_path / "home"
    home.mkdir()
    with serve() as kaggle:
        mounted = {COMPETITION: demonstrated.out / "competition"}
        kaggle.kernels.runner = execute_with(demonstrated.python, mounted, {})
        for name, value in kaggle.environment(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
        for (module, name), value in DELAYS.items():
            monkeypatch.setattr(module, name, value)
        settings = Settings(root=tmp_path, target=("host",), accelerator="")
        yield Laptop(settings, kaggle)


@pytest.mark.parametrize("unpacks", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_from_bundles_to_a_score(laptop: Laptop, unpacks: bool) -> None:
    laptop.kaggle.faults.unpack_by_content = unpacks
    settings, progress = laptop.settings, Recorder()
    client = connect(progress)
    bundles.publish(settings, settings.dist, PublishOptions(), progress)
    served = laptop.kaggle.datasets.all["rosa/rsna-bundle-libs"].served
    assert served is not None
    assert any(name.endswith("METADATA") for name in served.files) == unpacks
    pushed = push.push_by(client, settings, settings.dist)
    with (pushed.outputs / "submission.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 14
    assert any(
        line.startswith("submission.csv: 14 breasts from 29 images") for line in progress.texts
    )
    (run,) = laptop.kaggle.kernels.all[NOTEBOOK]
    assert run.status == "COMPLETE"
    entry = submit.send(client, settings, pushed, SubmitOptions())
    assert entry.public == "0.41"
    assert entry.checkpoint.endswith(".pt")
    assert float(entry.cv) > 0


@pytest.mark.slow
def test_a_submission_is_rehearsed_first(laptop: Laptop, demonstrated: Demo) -> None:
    options = SubmitOptions(python=demonstrated.python)
    assert "The rehearsal passed" in submit.rehearsed(laptop.settings, options, Recorder())
    (laptop.settings.dist / "code" / "tree.zip.tmp").write_bytes(b"damaged")
    with pytest.raises(CheckError, match="Nothing was sent"):
        submit.rehearsed(laptop.settings, options, Recorder())
    assert not laptop.kaggle.datasets.all
