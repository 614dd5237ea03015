"""What a rehearsal says beforehand of a model that is files of any kind."""

from pathlib import Path

import pytest

from bundler.rehearse.checks import bundles, notebook
from tests.bundler.model.model_trees import build, fill, nnunet


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))


def test_warns_of_weights_that_changed_since(tmp_path: Path) -> None:
    weights = fill(tmp_path / "best.pth", 1000)
    made = build(weights, out=tmp_path / "dist" / "model").bundle
    assert list(bundles.changed_files(made)) == []
    fill(weights, 1000, seed=1)
    (check,) = bundles.changed_files(made)
    assert (check.name, check.status) == ("model files", "unproven")
    assert f"{weights} has another content" in check.message


def test_says_which_weights_a_bundle_is_of(tmp_path: Path) -> None:
    made = build(nnunet(tmp_path), out=tmp_path / "dist" / "model").bundle
    origin = notebook.origin(made)
    assert "fold_0/checkpoint_best.pth" in origin
    assert "and 7 more" in origin
