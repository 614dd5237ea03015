"""A small bundle of each format, kept for ever: read, or refused as it should be.

The files of the model bundles only stand for what their names say.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import bundle as writer
from bundler.publish import bundles
from bundler.settings import Settings
from inference import run
from inference.boot import bundle
from inference.boot.manifest import Cache, Code, Libs, Model, ModelFiles, compose
from inference.errors import BundleError
from inference.pixels.preprocess import PreprocessConfig
from tests.recorder import Recorder
from train import cache

DATA = Path(__file__).parent / "data"
OLD = sorted((DATA / "format-1").iterdir())
CURRENT = sorted((DATA / "format-2").iterdir())
ADDED = ("model",)  # golden cases have fields that the one that is kept lacks
REFUSED = "has format 1; this version of rsna-bundle reads format 2 only"


def name_of(folder: Path) -> str:
    """Return a folder's name, for pytest."""
    return folder.name


def test_there_is_a_bundle_of_each_kind() -> None:
    assert {folder.name for folder in OLD} == {"libs", "model", "code", "cache"}
    assert {folder.name for folder in CURRENT} == {
        *("libs", "model", "model-of-files", "code", "cache")
    }


@pytest.mark.parametrize("folder", CURRENT, ids=name_of)
def test_a_bundle_of_this_format_is_read_and_verified(folder: Path) -> None:
    held = bundle.verify(folder)
    # What was read is all that there is: the same is written again.
    identity, text = compose(held.files, held.manifest.part, held.manifest.tool)
    written, kept = json.loads(text), json.loads((folder / "bundle.json").read_text())
    if folder.name not in ADDED:
        assert identity == held.id
        assert written == kept
    assert is_within(kept | {"id": identity}, written)


def is_within(kept: object, written: object) -> bool:
    """Say whether all that was kept is written again, perhaps among fields of later versions."""
    match kept, written:
        case dict(), dict():
            return all(name in written and is_within(kept[name], written[name]) for name in kept)
        case list(), list():
            return len(kept) == len(written) and all(map(is_within, kept, written))
    return kept == written


def test_the_parts_are_typed() -> None:
    kinds = {folder.name: bundle.read(folder).manifest.part for folder in CURRENT}
    libs, code, model, cache = (kinds[name] for name in ("libs", "code", "model", "cache"))
    assert isinstance(libs, Libs)
    (target,) = libs.targets
    assert (target.name, target.python) == ("host", "3.11.7")
    assert libs.fitting("3.11.0") == target
    assert libs.fitting("3.12.0") is None
    assert isinstance(code, Code)
    assert code.run == "python -m package.module"
    assert isinstance(model, Model)
    files = kinds["model-of-files"]
    assert isinstance(files, ModelFiles)
    assert (files.volumes, files.folders) == (("volume-0.tar",), ("nnunet/logs",))
    (weights,) = files.weights
    assert (weights.fold, weights.epoch, weights.metrics) == (0, 12, {"auc": 0.91})
    (only,) = model.models
    assert only.checkpoints[0].name == "fold0_epoch02_vpfbeta0.504.pt"
    assert only.preprocess.size == (96, 64)
    assert isinstance(cache, Cache)
    assert (cache.images, cache.shards) == (2, 1)


def test_a_cache_that_was_prepared_before_a_field_came_is_gone_on_with() -> None:
    part = bundle.read(DATA / "format-2" / "cache").manifest.part
    assert isinstance(part, Cache)
    config = PreprocessConfig.of(part.preprocess)
    assert config.reduce == "area"
    (shard,) = cache.plan([("p", "i")], config)
    assert shard.key == "e5f36309e32587eb"  # of the version that knew no `reduce`
    (other,) = cache.plan([("p", "i")], replace(config, reduce="bilinear"))
    assert other.key != shard.key


@pytest.mark.parametrize("folder", OLD, ids=name_of)
def test_a_bundle_of_an_older_format_is_refused_with_its_remedy(folder: Path) -> None:
    command = "publish cache" if folder.name == "cache" else folder.name
    with pytest.raises(BundleError, match=REFUSED) as refusal:
        bundle.read(folder)
    assert str(folder / "bundle.json") in str(refusal.value)
    assert f"`rsna-bundle {command}`" in str(refusal.value)
    assert refusal.value.exit_code == 4


def test_a_bundle_of_another_kind_is_named() -> None:
    with pytest.raises(BundleError, match="holds a libs bundle, not a code bundle"):
        _ = bundle.read(DATA / "format-2" / "libs").code


# --- who reads bundles: the notebook's first cell is tried in tests/bundler/notebook, the
# rehearsal in tests/failures ---


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_the_runner_refuses_an_older_format(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("libs", "model", "code"):
        source = DATA / ("format-1" if other == kind else "format-2") / other
        shutil.copytree(source, tmp_path / "input" / other)
    words = ["--input", str(tmp_path / "input"), "--scratch", str(tmp_path / "scratch")]
    assert run.main(words) == 4
    error = capsys.readouterr().err
    assert REFUSED in error
    assert f"`rsna-bundle {kind}`" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_publish_refuses_an_older_format(kind: str, tmp_path: Path) -> None:
    shutil.copytree(DATA / "format-1" / kind, tmp_path / "dist" / kind)
    options = bundles.PublishOptions(kinds=(kind,))
    with pytest.raises(BundleError, match=REFUSED) as refusal:
        bundles.publish(Settings(root=tmp_path), tmp_path / "dist", options, Recorder())
    assert refusal.value.exit_code == 4


def test_what_lies_there_in_an_older_format_is_built_anew(tmp_path: Path) -> None:
    shutil.copytree(DATA / "format-1" / "code", tmp_path / "code")
    part = bundle.read(DATA / "format-2" / "code").code
    built = writer.write(tmp_path / "code", {"tree.zip": tmp_path / "code" / "tree.zip.tmp"}, part)
    assert built.changed
    assert bundle.verify(tmp_path / "code").code == part
