"""Golden cases catch another decoder, another preprocessing and another runtime."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundler.model import export, golden
from inference import predict
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.boot.card import Golden
from inference.errors import BundleError
from inference.golden import fingerprint, replay
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from inference.predict import Model
from tests.bundler.model.checkpoints import SIZE, options, save


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("golden")
    built = export.build(options(save(folder / "a.pt")), folder / "bundle")
    return reader.verify(built.bundle.folder)


@pytest.fixture(scope="module")
def models(bundle: Bundle) -> list[Model]:
    return predict.load(bundle, "cpu")[0]


class Perturbed(Model):
    """A model whose runtime is a little off."""

    off = 0.0

    def predict(self, images: Any, metadata: Any = None) -> Any:
        return super().predict(images, metadata) + np.float32(self.off)


def perturb(models: Sequence[Model], off: float) -> list[Model]:
    made = [Perturbed(**vars(model)) for model in models]
    Perturbed.off = off
    return list(made)


def changed(bundle: Bundle, change: Callable[[Golden], Golden]) -> Bundle:
    """Return the bundle with golden cases that were recorded otherwise."""
    model = replace(bundle.model, golden=change(bundle.model.golden))
    return replace(bundle, manifest=replace(bundle.manifest, part=model))


def test_the_same_numbers_pass(bundle: Bundle, models: list[Model]) -> None:
    cases = bundle.model.golden
    assert [case.file for case in cases.dicoms] == [name for name, _, _ in golden.DICOMS]
    (case,) = cases.predictions
    assert len(case.probabilities) == golden.MOST_IMAGES
    assert np.ptp(case.probabilities) > 1e-4  # not one number sixteen times
    replay(bundle, models)


def test_the_phantoms_are_read_by_both_decoders(bundle: Bundle) -> None:
    config = PreprocessConfig(size=SIZE)
    syntaxes = {load(bundle.folder / n, [config]).transfer_syntax for n, _, _ in golden.DICOMS}
    assert syntaxes == {syntax for _, syntax, _ in golden.DICOMS}


@pytest.mark.parametrize("off", [2e-4, -2e-4, float("nan")])
def test_another_runtime_is_caught(off: float, bundle: Bundle, models: list[Model]) -> None:
    with pytest.raises(
        BundleError, match=r"predicts something else than on the laptop: off by .* \(0\.0001 is"
    ):
        replay(bundle, perturb(models, off))


def test_another_provider_may_be_a_little_off(bundle: Bundle, models: list[Model]) -> None:
    class Elsewhere(Perturbed):
        @property
        def providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    Perturbed.off = 4e-3
    replay(bundle, [Elsewhere(**vars(model)) for model in models])
    Perturbed.off = 6e-3
    with pytest.raises(BundleError, match=r"0\.005 is allowed on CUDAExecutionProvider"):
        replay(bundle, [Elsewhere(**vars(model)) for model in models])


def test_another_preprocessing_is_caught(bundle: Bundle, models: list[Model]) -> None:
    other = [replace(m, preprocess=PreprocessConfig(size=SIZE, crop="none")) for m in models]
    with pytest.raises(BundleError, match=r"golden-jpeg2000\.dcm, prepared for model\.onnx, has"):
        replay(bundle, other)


def test_another_decoder_is_caught(bundle: Bundle, models: list[Model]) -> None:
    """One that had one value of one image off by one, when the bundle was made."""
    path = bundle.folder / "golden-jpeg-lossless.dcm"
    pixels = load(path, [models[0].preprocess]).inputs[0].copy()
    own = bundle.model.golden.dicoms[1].prepared["model.onnx"]
    assert fingerprint(pixels) == own
    pixels[40, 20] ^= 1
    first, second = bundle.model.golden.dicoms
    damaged = replace(second, prepared={"model.onnx": fingerprint(pixels)})
    other = changed(bundle, lambda cases: replace(cases, dicoms=(first, damaged)))
    with pytest.raises(BundleError, match=r"golden-jpeg-lossless\.dcm.*decoded by "):
        replay(other, models)


def test_an_unreadable_phantom_is_a_missing_decoder(
    bundle: Bundle, models: list[Model], tmp_path: Path
) -> None:
    for file in bundle.files:
        (tmp_path / file.name).write_bytes((bundle.folder / file.name).read_bytes())
    cut = tmp_path / "golden-jpeg2000.dcm"
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(BundleError, match=r"golden-jpeg2000\.dcm cannot be read here"):
        replay(replace(bundle, folder=tmp_path), models)


def test_a_bundle_without_cases_is_refused(bundle: Bundle, models: list[Model]) -> None:
    with pytest.raises(BundleError, match="carries no golden cases"):
        replay(changed(bundle, lambda cases: Golden(dicoms=(), predictions=())), models)


def test_large_networks_get_fewer_images() -> None:
    from bundler.model.network import Folds
    from tests.bundler.model.checkpoints import NORMALIZE, net

    folds = Folds([net()], normalize=NORMALIZE, channels=1)
    sizes = ((96, 64), (1024, 512), (4096, 2048))
    counts = [golden.affordable(golden.count_operations(folds, size, 0), 1) for size in sizes]
    assert counts[0] == golden.MOST_IMAGES
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1


def test_models_share_the_time_of_the_replay() -> None:
    tenth = golden.BUDGET // 10
    assert [golden.affordable(tenth, models) for models in (1, 5, 50)] == [10, 2, 1]


def test_the_operations_of_weights_that_could_be_trained_are_counted() -> None:
    """CaiT hands some of its weights from block to block, where torch's counter looks for grads."""
    from bundler.model.network import Folds
    from tests.bundler.model.checkpoints import NORMALIZE
    from train import model

    kwargs = {"num_classes": 1, "in_chans": 1}
    folds = Folds([model.build("cait_xxs24_224", kwargs)], normalize=NORMALIZE, channels=1)
    assert golden.count_operations(folds.eval(), (224, 224), 0) > 4e9
