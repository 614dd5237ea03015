"""Golden cases catch another decoder, another preprocessing and another runtime."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inference
from bundler.model import export, golden, golden_dicoms
from bundler.model.golden_dicoms import DRAWINGS
from inference import predict
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.boot.card import Golden
from inference.boot.fields import plain
from inference.errors import BundleError
from inference.golden import Replayed, configs_of
from inference.pixels.loading import load
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from inference.predict import Model
from tests.bundler.model.checkpoints import SIZE, net, options, save
from train import phantom

COLUMNS = ["laterality", "view", "age", "implant"]
Replay = Callable[[Bundle, Sequence[Model]], Replayed]
SMALL = 100_000  # bytes that all golden DICOM files of a bundle may take


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("golden")
    state = net(metadata_columns=COLUMNS).state_dict()
    path = save(folder / "a.pt", model=state, metadata_columns=COLUMNS)
    built = export.build(options(path), folder / "bundle")
    return reader.verify(built.bundle.folder)


@pytest.fixture(scope="module")
def models(bundle: Bundle) -> list[Model]:
    return predict.load(bundle, "cpu")[0]


class Perturbed(Model):
    """A model whose runtime is a little off."""

    off = 0.0

    def answer(self, images: Any, metadata: Any = None) -> Any:
        probabilities, logits = super().answer(images, metadata)
        return probabilities + np.float32(self.off), logits


def perturb(models: Sequence[Model], off: float) -> list[Model]:
    made = [Perturbed(**vars(model)) for model in models]
    Perturbed.off = off
    return list(made)


def changed(bundle: Bundle, change: Callable[[Golden], Golden]) -> Bundle:
    """Return the bundle with golden cases that were recorded otherwise."""
    model = replace(bundle.model, golden=change(bundle.model.golden))
    return replace(bundle, manifest=replace(bundle.manifest, part=model))


def test_the_same_numbers_pass(bundle: Bundle, models: list[Model], replay: Replay) -> None:
    cases = bundle.model.golden
    assert [case.file for case in cases.dicoms] == [drawing.file for drawing in DRAWINGS]
    (case,) = cases.predictions
    assert len(case.probabilities) == len(case.logits) == golden.MOST_IMAGES
    assert np.ptp(case.probabilities) > 1e-4  # not one number sixteen times
    assert np.ptp(case.logits) > 1e-3
    replayed = replay(bundle, models)
    assert (replayed.rows, replayed.predictions, replayed.logits) == (6, 16, True)


def test_the_very_loop_of_long_runs_decodes(
    bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    replayed = replay(bundle, models)
    decoder = replayed.decoders["golden-jpeg-lossless.dcm"]
    assert decoder == "numba, on long runs"
    assert "golden-jpeg-lossless.dcm by numba, on long runs" in replayed.summary()
    others = {name: by for name, by in replayed.decoders.items() if by != decoder}
    assert others.keys() == {drawing.file for drawing in DRAWINGS} - {"golden-jpeg-lossless.dcm"}


def test_the_files_are_small(bundle: Bundle) -> None:
    sizes = [file.bytes for file in bundle.files if file.name.endswith(".dcm")]
    assert len(sizes) == len(DRAWINGS)
    assert sum(sizes) < SMALL


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0, 8.0])
def test_each_file_has_what_it_stands_for(preset: str, margin: float, tmp_path: Path) -> None:
    config = replace(PRESETS[preset], decode_margin=margin)
    cases = golden_dicoms.write_dicoms(tmp_path, {"model.onnx": config})
    files = {}
    for case in cases:
        loaded = load(tmp_path / case.file, configs_of(case, [config]))
        files[case.file] = (loaded.transfer_syntax, loaded.reduction > 0)
    sv1, j2k = phantom.JPEG_LOSSLESS_SV1, phantom.JPEG_2000_LOSSLESS
    windows = config.window == "dicom"
    reduces = config.reduce == "area"  # what interpolates needs the whole image, and says so
    assert [case.file for case in cases if "decoded in full" in case.exercises] == [
        name for name in files if "reduced" in name and not reduces
    ]
    assert files == {
        "golden-jpeg2000.dcm": (j2k, False),
        "golden-jpeg2000-reduced.dcm": (j2k, reduces),
        "golden-jpeg-lossless.dcm": (sv1, False),
        "golden-jpeg-lossless-reduced.dcm": (sv1, reduces),
        "golden-signed.dcm": (j2k, False),
        "golden-signed-jpeg-lossless.dcm": (sv1, False),
        **({"golden-sigmoid.dcm": (j2k, False), "golden-lut.dcm": (j2k, False)} if windows else {}),
    }


@pytest.mark.parametrize("off", [2e-4, -2e-4, float("nan")])
def test_another_runtime_is_caught(
    off: float, bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    with pytest.raises(
        BundleError, match=r"predicts something else than on the laptop: off by .* \(0\.0001 is"
    ):
        replay(bundle, perturb(models, off))


def test_another_provider_may_be_a_little_off(
    bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    class Elsewhere(Perturbed):
        @property
        def providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    Perturbed.off = 4e-3
    replay(bundle, [Elsewhere(**vars(model)) for model in models])
    Perturbed.off = 6e-3
    with pytest.raises(BundleError, match=r"0\.005 is allowed on CUDAExecutionProvider"):
        replay(bundle, [Elsewhere(**vars(model)) for model in models])


def test_another_preprocessing_is_caught(
    bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    other = [replace(m, preprocess=PreprocessConfig(size=SIZE, crop="none")) for m in models]
    with pytest.raises(
        BundleError, match=r"jpeg2000\.dcm \(JPEG 2000\), prepared for model\.onnx, has"
    ):
        replay(bundle, other)


def test_an_unreadable_phantom_is_a_missing_decoder(
    bundle: Bundle, models: list[Model], replay: Replay, tmp_path: Path
) -> None:
    for file in bundle.files:
        (tmp_path / file.name).write_bytes((bundle.folder / file.name).read_bytes())
    cut = tmp_path / "golden-jpeg2000.dcm"
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(
        BundleError, match=r"golden-jpeg2000\.dcm \(JPEG 2000\) cannot be read"
    ) as caught:
        replay(replace(bundle, folder=tmp_path), models)
    assert "reading: " in str(caught.value)
    assert "Put the decoder that is missing into wheelhouse.txt" in str(caught.value)


def test_a_bundle_without_cases_is_refused(
    bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    with pytest.raises(BundleError, match="carries no golden cases"):
        replay(changed(bundle, lambda cases: Golden(dicoms=(), predictions=())), models)


def test_a_bundle_from_before_logits_and_rows_is_replayed_as_far_as_it_goes(
    bundle: Bundle, models: list[Model], replay: Replay
) -> None:
    def older(cases: Golden) -> Golden:
        (case,) = cases.predictions
        before = replace(case, logits=(), logit_tolerance=None)
        return replace(cases, dicoms=cases.dicoms[:1], predictions=(before,), rows=())

    replayed = replay(changed(bundle, older), models)
    assert (replayed.rows, replayed.predictions, replayed.logits) == (0, 16, False)
    text = json.dumps(plain(older(bundle.model.golden)))
    for name in ("logit", "rows"):  # and such a bundle has no field that an older reader refuses
        assert name not in text


def test_a_difference_that_a_saturated_probability_hides(replay: Replay, tmp_path: Path) -> None:
    """Two networks that are sure of every image: their probabilities are the same, 1."""
    bundles = []
    for name, sure in (("a", 40.0), ("b", 44.0)):
        state = net().state_dict()
        state["fc.bias"] += sure
        path = save(tmp_path / f"{name}.pt", model=state)
        built = export.build(options(path), tmp_path / name)
        bundles.append(reader.verify(built.bundle.folder))
    (other,) = predict.load(bundles[1], "cpu")
    assert replay(bundles[1], other).logits
    (case,) = bundles[0].model.golden.predictions
    (sure,) = bundles[1].model.golden.predictions
    assert np.abs(np.subtract(case.probabilities, sure.probabilities)).max() <= case.tolerance.cpu
    with pytest.raises(
        BundleError, match=r"off by 0\.\d+ in its logit .* which its proba"
    ) as caught:
        replay(bundles[0], other)
    stages = [line.split(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert stages[0] == "logits"
    assert "probabilities" not in stages


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


# --- defects in the code of the notebook: each fails its own cases, and no other ---

REPLAY = """
import sys
from pathlib import Path
from inference import golden, predict
from inference.boot import bundle
from inference.workers import Workers

if __name__ == "__main__":
    opened = bundle.read(Path(sys.argv[1]))
    with Workers(2) as decoding:
        print(golden.replay(opened, predict.load(opened, "cpu")[0], decoding).summary())
"""
# What is added to a module of the runner → the golden cases that are to fail, by file or stage.
DEFECTS = {
    "a VOI LUT is ignored": (
        "inference/pixels/voi.py",
        "apply_lut = lambda values, lut: stretch(values, 0.0, 1023.0)",
        {"golden-lut.dcm"},
    ),
    "SIGMOID is taken for LINEAR": (
        "inference/pixels/voi.py",
        "_apply = apply_window\n"
        "apply_window = lambda values, window, function: _apply(values, window, 'LINEAR')",
        {"golden-sigmoid.dcm"},
    ),
    "the sign is lost": (
        "inference/pixels/header.py",
        "_whole = _interpret\n"
        "def _interpret(*parts):\n"
        "    from dataclasses import replace\n"
        "    return replace(_whole(*parts), signed=False)",
        {"golden-signed.dcm", "golden-signed-jpeg-lossless.dcm"},
    ),
    "a reduced JPEG 2000 decode is off by one grey level": (
        "inference/pixels/stored.py",
        "_view = PixelData._decode_view\n"
        "def _brighter(self, reduction):\n"
        "    values = _view(self, reduction)\n"
        "    return replace(values, pixels=values.pixels + 1)\n"
        "PixelData._decode_view = _brighter",
        {"golden-jpeg2000-reduced.dcm"},
    ),
    "the reduced decode is one resolution too fine": (
        "inference/pixels/stored.py",
        "_choose = PixelData.choose_reduction\n"
        "PixelData.choose_reduction = lambda *args: max(0, _choose(*args) - 1)",
        {"golden-jpeg2000-reduced.dcm", "golden-jpeg-lossless-reduced.dcm"},
    ),
    "the wavelet of other files rounds otherwise": (
        "inference/pixels/lifting.py",
        "_halve = lambda pixels: halve_by_numpy(pixels) + 1",
        {"golden-jpeg-lossless-reduced.dcm"},
    ),
    "the compiled JPEG Lossless loop has one pixel wrong": (
        "inference/pixels/lossless.py",
        "_right = decode\n"
        "def decode(data):\n"
        "    values = _right(data)\n"
        "    values[values.shape[0] // 2, :8] ^= 64\n"
        "    return values",
        {"golden-jpeg-lossless.dcm"},
    ),
    "MONOCHROME1 is not inverted": (
        "inference/pixels/header.py",
        "_whole = _interpret\n"
        "def _interpret(*parts):\n"
        "    from dataclasses import replace\n"
        "    return replace(_whole(*parts), photometric='MONOCHROME2')",
        {"golden-jpeg2000-reduced.dcm", "golden-jpeg-lossless.dcm"},
    ),
    "ages are standardised otherwise": ("inference/metadata.py", "AGE_MEAN = 60.0", {"metadata"}),
    "a missing age is taken for the mean": (
        "inference/metadata.py",
        "_ENCODERS['age'] = lambda text: [*_age(text)[:1], 1.0]",
        {"metadata"},
    ),
    "an unseen view is taken for CC": (
        "inference/metadata.py",
        "_ENCODERS['view'] = lambda text: "
        "[1.0, 0.0, 0.0] if text and text.upper() not in VIEWS else _view(text)",
        {"metadata"},
    ),
    "the columns change places": (
        "inference/metadata.py",
        "_encode = encode\ndef encode(row, names):\n    return _encode(row, sorted(names))",
        {"metadata"},
    ),
    "the logits are scaled": (
        "inference/predict.py",
        "_answer = Model.answer\n"
        "def _scaled(self, images, metadata=None):\n"
        "    probabilities, logits = _answer(self, images, metadata)\n"
        "    return probabilities, logits * 1.01\n"
        "Model.answer = _scaled",
        {"logits"},
    ),
}


def run_replay(bundle: Bundle, tree: Path) -> subprocess.CompletedProcess[str]:
    """Replay a bundle with the runner that lies in `tree`, in a process of its own."""
    script = tree / "replay.py"
    script.write_text(REPLAY)
    command = [sys.executable, script, bundle.folder]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_fails_its_own_golden_case(defect: str, bundle: Bundle, tmp_path: Path) -> None:
    module, addition, expected = DEFECTS[defect]
    shutil.copytree(Path(inference.__file__).parent, tmp_path / "inference")
    path = tmp_path / module
    path.write_text(f"{path.read_text()}\n\n{addition}\n")
    ended = run_replay(bundle, tmp_path)
    message = ended.stderr[ended.stderr.index("Golden cases of the model bundle") :]
    failed = {
        line.split()[1] if line.startswith(("pixels: ", "reading: ")) else line.split(":")[0]
        for line in message.splitlines()
        if line.startswith(("pixels: ", "reading: ", "metadata: ", "logits: ", "probabilities: "))
    }
    assert failed == expected


@pytest.mark.parametrize(
    "addition",
    [
        "def _compiled():\n    raise RuntimeError('no compiler for this processor')",
        "def _compiled():\n    import os\n    os.abort()",
    ],
    ids=["raises", "crashes"],
)
def test_a_compiled_loop_that_does_not_start_costs_speed_alone(
    addition: str, bundle: Bundle, tmp_path: Path
) -> None:
    """As in a long run, where another decoder takes over; the log says which one it was."""
    shutil.copytree(Path(inference.__file__).parent, tmp_path / "inference")
    path = tmp_path / "inference" / "pixels" / "lossless.py"
    path.write_text(f"{path.read_text()}\n\n{addition}\n")
    ended = run_replay(bundle, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "golden-jpeg-lossless.dcm by imagecodecs jpeg8 (libjpeg-turbo 3)" in ended.stdout
