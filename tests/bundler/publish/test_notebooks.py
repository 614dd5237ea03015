"""The other notebooks, really executed: the image is captured, wheels are built."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import CheckError, InputError
from bundler.image import target
from bundler.notebook import other
from bundler.publish import bundles, kernel, notebooks, outputs, push
from bundler.publish.bundles import PublishOptions
from bundler.publish.client import connect
from bundler.publish.kernel import Version
from bundler.publish.slugs import Ref
from bundler.settings import Settings
from tests.kaggle.execution import execute_with
from tests.kaggle.kernels import Run
from tests.kaggle.server import USER, Kaggle
from tests.recorder import Recorder


@pytest.fixture
def progress() -> Recorder:
    """The progress of the commands."""
    return Recorder()


def test_capture_describes_the_image(
    kaggle: Kaggle, settings: Settings, progress: Recorder, tmp_path: Path
) -> None:
    kaggle.kernels.runner = execute_with(sys.executable, {}, {"KAGGLE_DOCKER_IMAGE": "image@x"})
    out = tmp_path / "target.json"
    ran = notebooks.capture(settings, out, "mine", progress)
    captured = target.read(out)
    assert (captured.name, captured.estimate, captured.source) == ("mine", False, "image@x")
    assert "kaggle" in captured.packages
    assert "mine (captured)" in ran.summary()
    (run,) = kaggle.kernels.all[f"{USER}/rsna-bundle-submission-target"]
    assert not run.body.get("enableInternet")  # as a submission runs


def test_wheels_are_built_and_fetched(
    kaggle: Kaggle, settings: Settings, progress: Recorder, tmp_path: Path
) -> None:
    source = tmp_path / "alpha"
    (source / "alpha").mkdir(parents=True)
    (source / "alpha" / "__init__.py").write_text("ANSWER = 42\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "alpha"\nversion = "1.0"\n[tool.setuptools]\npackages = ["alpha"]\n'
    )
    kaggle.kernels.runner = execute_with(sys.executable, {}, {"PIP_CONFIG_FILE": "/dev/null"})
    packages = [f"alpha @ {source.as_uri()}"]
    other.write_libs(settings.dist, packages=packages)
    ran = notebooks.push_libs(settings, settings.dist, progress)
    assert [path.name for path in ran.files] == ["alpha-1.0-py3-none-any.whl"]
    assert "--find-links" in ran.summary()
    (run,) = kaggle.kernels.all[f"{USER}/rsna-bundle-submission-libs"]
    assert run.body["enableInternet"]
    with pytest.raises(InputError, match="is not a requirement"):
        other.write_libs(settings.dist, packages=["a b"])


def test_training_is_pushed_with_the_cache(
    kaggle: Kaggle, settings: Settings, progress: Recorder, make_bundle: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match="notebook train"):
        notebooks.push_training(settings, settings.dist, progress)
    other.write_training(
        settings,
        settings.dist,
        repository="https://x.org/r",
        branch="main",
        overrides=["experiment=strong"],
        bucket=None,
    )
    make_bundle("cache")
    bundles.publish(settings, settings.dist, PublishOptions(kinds=("cache",)), progress)
    ran = notebooks.push_training(settings, settings.dist, progress)
    (run,) = kaggle.kernels.all[f"{USER}/rsna-bundle-submission-training"]
    assert run.body["datasetDataSources"] == [f"{USER}/rsna-bundle-cache"]
    assert run.body["enableInternet"]
    assert ran.version.number == 1


@pytest.fixture
def ended(kaggle: Kaggle) -> Run:
    """A notebook that has run."""
    run = Run(number=1, body={"slug": f"{USER}/a-notebook", "text": "{}"}, status="COMPLETE")
    kaggle.kernels.all[f"{USER}/a-notebook"] = [run]
    return run


def test_an_output_that_climbs_out_is_refused(ended: Run, tmp_path: Path) -> None:
    version = Version(ref=Ref(owner=USER, slug="a-notebook"), number=1)
    ended.outputs["../evil.csv"] = b"x"
    with pytest.raises(InputError, match="unsafe name"):
        outputs.fetch(connect(), version, tmp_path / "outputs")
    assert not (tmp_path / "evil.csv").exists()


def test_a_log_is_streamed_once_and_a_failure_repeats_its_end(ended: Run) -> None:
    ended.status, ended.failure = "ERROR", "out of memory"
    ended.log += [f"line {number}" for number in range(40)]
    progress = Recorder()
    version = Version(ref=Ref(owner=USER, slug="a-notebook"), number=1)
    with pytest.raises(CheckError, match="out of memory") as caught:
        kernel.follow(connect(progress), version, 10)
    assert progress.texts[1:] == ended.log
    assert "line 39" in str(caught.value)
    assert "line 10\n" not in str(caught.value)


def test_the_image_is_pinned_where_the_target_names_it(
    settings: Settings, kaggle: Kaggle, progress: Recorder, make_bundle: Callable[..., Path]
) -> None:
    digest = "gcr.io/kaggle-private-byod/python@sha256:" + "ab" * 32
    # As the libs were made for: the source decides no wheel.
    about = json.loads(target.load(settings.target[0]).text())
    about |= {"source": f"captured in {digest}"}
    (settings.root / "image.json").write_text(json.dumps(about))
    for kind in bundles.KINDS:
        make_bundle(kind)
    pinned = replace(settings, target=("image.json",))
    bundles.publish(pinned, pinned.dist, PublishOptions(), progress)
    push.push(pinned, pinned.dist, progress)
    (run,) = kaggle.kernels.all[f"{USER}/rsna-bundle-submission"]
    assert run.body["dockerImage"] == digest
