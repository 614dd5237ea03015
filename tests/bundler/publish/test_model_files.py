"""A model bundle of files is published, looked at and submitted as any other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.progress import SILENT
from bundler.publish import bundles, dataset, history, status
from tests.bundler.model.model_trees import build, fill, nnunet
from tests.kaggle.world import World, begin


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Kaggle that holds all three bundles of `dist`."""
    with begin(tmp_path / "world") as made:
        yield made


def test_is_published_and_read_back(world: World, tmp_path: Path) -> None:
    made = build(nnunet(tmp_path), out=world.root / "dist" / "model").bundle
    published = bundles.publish_folder(world.settings, made.folder, SILENT)
    assert (published.id, published.changed) == (made.id, True)
    assert not bundles.publish_folder(world.settings, made.folder, SILENT).changed
    assert "fold_0/checkpoint_final.pth" in dataset.notes(made)


def test_status_says_that_its_files_have_changed(world: World, tmp_path: Path) -> None:
    weights = fill(tmp_path / "best.pth", 1000)
    made = build(weights, out=world.root / "dist" / "model").bundle
    bundles.publish_folder(world.settings, made.folder, SILENT)
    assert "have changed" not in status.look(world.settings, SILENT).summary()
    fill(weights, 1000, seed=1)
    shown = status.look(world.settings, SILENT).summary()
    assert "its files have changed: rsna-bundle model --files" in shown


def test_a_submission_records_what_names_and_headers_say(world: World, tmp_path: Path) -> None:
    for fold, score in enumerate((0.4, 0.6)):
        fill(tmp_path / "w" / f"fold{fold}_pfbeta{score}.pth", 100)
    model = build(tmp_path / "w", out=world.root / "dist" / "model").bundle
    code = bundles.reader.read(world.root / "dist" / "code")
    entry = history.describe(1, "now", code, model, "notebook", "text")
    assert entry.checkpoint == "w/fold0_pfbeta0.4.pth w/fold1_pfbeta0.6.pth"
    assert (entry.metric, entry.cv, entry.threshold) == ("pfbeta", "0.5", "")
