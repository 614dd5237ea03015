"""Checkpoints → a bundle whose ONNX says what torch said, and nothing of the machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from click.testing import CliRunner, Result

from bundler.cli import cli
from bundler.errors import CheckError, InputError, UsageError
from bundler.model import card, export, golden, graph, parity
from bundler.model.golden_dicoms import draw_dicom
from bundler.model.origin import Reference
from inference import predict
from inference.boot import bundle as reader
from inference.boot.card import OnnxModel, Parity
from inference.pixels.preprocess import PreprocessConfig
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, net, options, save

TRACES = (b".py", b"site-packages", b"/home", b"/tmp", b"stack_trace", b"Folds", b"class_hier")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("run") / "fold0_epoch02_vpfbeta0.504.pt")


@pytest.fixture(scope="module")
def place(checkpoint: Path) -> Path:
    return build(checkpoint, out=checkpoint.parent / "bundle")


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("folds")
    return [save(folder / f"fold{fold}.pt", seed=fold, fold=fold) for fold in range(2)]


@pytest.fixture(scope="module")
def merged(folds: list[Path]) -> Path:
    return build(*folds, out=folds[0].parent / "bundle")


def build(*checkpoints: Path, out: Path, **changes: Any) -> Path:
    built = export.build(options(*checkpoints, **changes), out)
    return reader.verify(built.bundle.folder).folder


def entry(place: Path) -> OnnxModel:
    (only,) = reader.read(place).model.models
    return only


def parity_of(place: Path) -> Parity:
    parity = entry(place).parity
    assert parity is not None
    return parity


def words(path: Path) -> bytes:
    """Return an ONNX file without the numbers of its weights."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def some_images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, *SIZE), dtype=np.uint8)


def expected(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return what the bare network says, normalised by hand."""
    pixels = (torch.from_numpy(images[:, None]).float() * NORMALIZE.scale - 0.4) / 0.2
    with torch.inference_mode():
        return torch.sigmoid(net(seed=seed)(pixels))[:, 0].numpy()


def test_bundle_says_where_the_model_came_from(place: Path) -> None:
    recorded = entry(place)
    (fold,) = recorded.checkpoints
    assert fold.name == "fold0_epoch02_vpfbeta0.504.pt"
    assert (fold.fold, fold.epoch, fold.metrics) == (0, 2, {"pfbeta": 0.504})
    assert (fold.commit, fold.dirty) == ("0123456789abcdef", False)
    assert recorded.preprocess.size == SIZE
    assert (recorded.threshold, recorded.aggregation, recorded.output) == (0.5, "mean", "binary")
    assert parity_of(place).probability_max <= 1e-4
    own = graph.read_card(place / "model.onnx")
    assert card.of_file("model.onnx", own) == recorded  # the ONNX says the same of itself


def test_onnx_answers_as_the_network_does(place: Path) -> None:
    ((model,),) = predict.load(reader.read(place), "cpu")
    images = some_images()
    assert np.ptp(expected(images)) > 1e-3  # three answers, not one
    np.testing.assert_allclose(model.predict(images), expected(images), atol=1e-4)
    np.testing.assert_allclose(model.predict(images[:1]), expected(images)[:1], atol=1e-4)


def test_onnx_tells_nothing_of_the_machine_that_wrote_it(place: Path, merged: Path) -> None:
    for folder in (place, merged):
        assert [trace for trace in TRACES if trace in words(folder / "model.onnx")] == []


def test_equal_input_gives_an_equal_bundle(checkpoint: Path, place: Path, tmp_path: Path) -> None:
    """In another process, with another hash seed and number of threads, by the command line."""
    command = [sys.executable, "-m", "bundler.cli", "model", "--json", "--ckpt", str(checkpoint)]
    result = subprocess.run(
        [*command, "--threshold", "0.5", "--out", str(tmp_path / "again")],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["id"] == reader.read(place).id
    assert said["changed"] is True


def test_folds_are_merged_into_their_mean(folds: list[Path], merged: Path) -> None:
    ((model,),) = predict.load(reader.read(merged), "cpu")
    images = some_images()
    each = np.stack([expected(images, seed) for seed in range(len(folds))], axis=1)
    mean, by_fold = model.session.run(["probability", "folds"], {"image": images[:, None]})
    np.testing.assert_allclose(by_fold, each, atol=1e-4)
    np.testing.assert_allclose(mean, each.mean(axis=1), atol=1e-4)
    assert [one.fold for one in entry(merged).checkpoints] == [0, 1]


def test_folds_may_stay_apart(folds: list[Path], tmp_path: Path) -> None:
    other = save(tmp_path / "other.pt", preprocess={"version": 1, "size": [64, 64]})
    place = build(folds[0], other, out=tmp_path / "bundle", ensemble="separate")
    (models,) = predict.load(reader.read(place), "cpu")
    assert [model.name for model in models] == ["model0.onnx", "model1.onnx"]
    assert [model.preprocess.size for model in models] == [SIZE, (64, 64)]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (
            {"preprocess": PreprocessConfig(size=(64, 64))},
            r"in preprocess size \[64, 64\] and size \[96, 64\]\. Choose",
        ),
        ({"arch": "test_resnet.r160_in1k", "model_kwargs": {"num_classes": 1}}, "arch"),
        ({"normalize": replace(NORMALIZE, mean=(0.5,))}, "normalize"),
    ],
)
def test_folds_that_differ_are_not_merged(
    changes: dict[str, Any], part: str, folds: list[Path], tmp_path: Path
) -> None:
    other = save(tmp_path / "other.pt", **changes)
    with pytest.raises(InputError, match=rf"they differ .*{part}.*--ensemble separate"):
        export.build(options(folds[0], other), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_half_precision_is_half_the_size(checkpoint: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for drawing in golden.KINDS:
        (tmp_path / "images" / drawing.file).write_bytes(draw_dicom(7, drawing))
    half = build(checkpoint, out=tmp_path / "bundle", precision="fp16", images=tmp_path / "images")
    assert parity_of(half).real == 2
    sizes = [(folder / "model.onnx").stat().st_size for folder in (half, place)]
    assert sizes[0] < 0.6 * sizes[1]  # of a tiny network the graph itself weighs
    ((model,),) = predict.load(reader.read(half), "cpu")
    np.testing.assert_allclose(model.predict(some_images()), expected(some_images()), atol=5e-3)
    assert reader.read(half).model.golden.predictions[0].tolerance.cpu == 5e-3


def test_int8_is_an_option_where_its_parity_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = net().state_dict()
    state["fc.weight"] *= 0.1  # a calm network: its answers move little
    path = save(tmp_path / "calm.pt", model=state)
    place = build(path, out=tmp_path / "bundle", precision="int8")
    assert 1e-6 < parity_of(place).probability_max <= 5e-3
    assert (place / "model.onnx").stat().st_size < 1e6  # 1.5 MB in float32
    # The quantiser's advice is not for who exports.
    assert [record for record in caplog.records if record.name == "root"] == []
    assert [trace for trace in TRACES if trace in words(place / "model.onnx")] == []
    monkeypatch.setitem(parity.TOLERANCE, "int8", 1e-6)
    message = r"int8 is off by \S+ in probability .* Export with --precision fp32"
    refuse(CheckError, message, tmp_path / "other", path, precision="int8")


def test_large_weights_lie_beside_the_graph(
    checkpoint: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "EMBEDDED_LIMIT", 1000)
    large = build(checkpoint, out=tmp_path / "bundle")
    assert {"model.onnx", "model.onnx.data"} <= {file.name for file in reader.read(large).files}
    assert (large / "model.onnx").stat().st_size < (large / "model.onnx.data").stat().st_size
    ((model,),) = predict.load(reader.read(large), "cpu")
    np.testing.assert_allclose(model.predict(some_images()), expected(some_images()), atol=1e-4)


# --- what is refused; nothing is written then ---


def refuse(error: type[Exception], message: str, place: Path, *paths: Path, **changes: Any) -> None:
    with pytest.raises(error, match=message):
        export.build(options(*paths, **changes), place)
    assert not place.exists()


def test_an_export_that_answers_otherwise_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that was broken on its way: its last bias is not the checkpoint's."""
    whole: Callable[..., Any] = graph.export

    def broken(*arguments: Any) -> Any:
        model = whole(*arguments)
        bias = next(value for name, value in model.graph.initializers.items() if "fc.bias" in name)
        bias.const_value = onnx_ir.tensor(bias.const_value.numpy() + np.float32(0.5))
        return model

    monkeypatch.setattr(graph, "export", broken)
    message = r"fp32 is off by \S+ in probability .* at most 1e-04 is allowed\. Nothing was written"
    refuse(CheckError, message, tmp_path / "bundle", checkpoint)


def test_nan_is_no_parity() -> None:
    numbers = np.array([0.1, 0.2]), np.array([[0.1], [0.2]])
    exact = Reference(
        probabilities=numbers[0], logits=numbers[1], kind="float64", noise=0, logit_noise=0
    )
    found = parity.compare(exact, (np.array([0.1, np.nan]), numbers[1]), real=0, tolerance=1e-4)
    with pytest.raises(CheckError):
        parity.check(found, "fp32")
    good = parity.compare(exact, numbers, real=0, tolerance=1e-4)
    parity.check(good, "fp32")
    assert good.rank_agreement == 1.0
    turned = parity.compare(exact, (numbers[0][::-1], numbers[1]), real=0, tolerance=1e-4)
    assert turned.rank_agreement == 0.0


def test_a_binary_output_asks_for_a_threshold(checkpoint: Path, tmp_path: Path) -> None:
    refuse(UsageError, "--threshold", tmp_path / "bundle", checkpoint, threshold=None)
    refuse(UsageError, "between 0 and 1", tmp_path / "bundle", checkpoint, threshold=1.5)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    message = r"none\.pt cannot be read: No such file"
    refuse(InputError, message, tmp_path / "bundle", tmp_path / "none.pt")


def test_a_checkpoint_named_twice_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(checkpoint.read_bytes())
    refuse(InputError, "are the same checkpoint", tmp_path / "bundle", checkpoint, copy)


def test_a_dry_run_writes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    said = command("--dry-run", "--ckpt", str(checkpoint), "--out", str(tmp_path / "bundle"))
    assert not (tmp_path / "bundle").exists()
    assert "fold0_epoch02_vpfbeta0.504.pt" in said.stdout


def test_beside_json_notes_go_to_stderr(checkpoint: Path, tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    said = command("--json", "--ckpt", str(checkpoint), "--threshold", "0.5", "--out", str(place))
    assert json.loads(said.stdout)["id"] == reader.read(place).id
    assert "compare ONNX Runtime with its origin" in said.stderr
    quiet = command("--quiet", "--ckpt", str(checkpoint), "--threshold", "0.5", "--out", str(place))
    assert quiet.output == ""


def command(*words: str) -> Result:
    """Return what `rsna-bundle model` says."""
    return CliRunner().invoke(cli, ["model", *words], catch_exceptions=False)


def test_images_that_are_none_are_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    message = "holds no readable DICOM file"
    refuse(InputError, message, tmp_path / "bundle", checkpoint, images=tmp_path / "images")
