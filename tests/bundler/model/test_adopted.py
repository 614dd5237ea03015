"""An ONNX file of the user's own answers in the bundle as it did before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from bundler.errors import CheckError, InputError, UsageError
from bundler.model import export
from bundler.model.adopted import reading
from inference import predict
from inference.boot import bundle as reader
from inference.predict import Model
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, TOLD, options
from tests.bundler.model.networks import Small, write_onnx
from tests.recorder import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
TOLD_ONNX = {key: value for key, value in TOLD.items() if key != "arch"} | {"preset": "small"}


@pytest.fixture(autouse=True)
def _preset(monkeypatch: pytest.MonkeyPatch) -> None:
    from inference.pixels import preprocess

    small = preprocess.PreprocessConfig(size=SIZE)
    monkeypatch.setitem(preprocess.PRESETS, "small", small)  # type: ignore[arg-type]


def adopt(*files: Path, **changes: Any) -> Model:
    out = files[0].parent / "bundle"
    built = export.build(options(**{**TOLD_ONNX, "onnx": files, **changes}), out)
    ((model,),) = predict.load(reader.verify(built.bundle.folder), "cpu")
    return model


def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (3, *SIZE), dtype=np.uint8)


def answer(network: nn.Module, *more: torch.Tensor, channels: int = 1) -> torch.Tensor:
    """Return what the network says, normalised by hand: its numbers [N, C]."""
    pixels = (torch.from_numpy(images()[:, None]).float() * NORMALIZE.scale - 0.4) / 0.2
    with torch.inference_mode():
        return torch.as_tensor(network.eval()(pixels.expand(-1, channels, -1, -1), *more))


class ChannelsLast(nn.Module):
    """A network as TensorFlow exports one: [N, H, W, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Small(channels=3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.inner(pixels.permute(0, 3, 1, 2)))


@pytest.mark.parametrize(
    ("channels", "how"),
    [(1, {}), (3, {}), (1, {"dynamic": False}), (3, {"dynamic": False, "batch": 4})],
    ids=["dynamic", "three channels", "one image", "batches of four"],
)
def test_any_batch_and_channels(channels: int, how: dict[str, Any], tmp_path: Path) -> None:
    network = Small(channels)
    model = adopt(write_onnx(tmp_path / "fold1_auc0.9.onnx", network, channels=channels, **how))
    expected = torch.sigmoid(answer(network, channels=channels))[:, 0].numpy()
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(model.predict(images()), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(images()[:1]), expected[:1], atol=1e-5)
    card = model.card
    assert (card.arch, card.head, card.checkpoints[0].weights) == ("onnx", "sigmoid:0", "onnx")
    assert (card.checkpoints[0].fold, card.checkpoints[0].metrics) == (1, {"auc": 0.9})
    assert card.parity is not None
    assert card.parity.reference == "onnx"


def test_a_table_beside_the_pixels(tmp_path: Path) -> None:
    network = Small()
    table = np.random.default_rng(6).normal(size=(3, 3)).astype(np.float32)
    file = write_onnx(tmp_path / "a.onnx", network, numbers=3)
    model = adopt(file, metadata_columns=("age", "laterality"))
    expected = torch.sigmoid(answer(network, torch.from_numpy(table)))[:, 0].numpy()
    np.testing.assert_allclose(model.predict(images(), table), expected, atol=1e-5)
    with pytest.raises(UsageError, match="--metadata-columns: the table's columns"):
        adopt(file)
    with pytest.raises(UsageError, match="takes 3 numbers of the table, and view, age are 5"):
        adopt(file, metadata_columns=("view", "age"))


def test_channels_last(tmp_path: Path) -> None:
    network = ChannelsLast().eval()
    path = tmp_path / "tf.onnx"
    torch.onnx.export(
        network,
        (torch.rand(1, *SIZE, 3),),
        path,
        dynamo=False,
        input_names=["pixels"],
        dynamic_axes={"pixels": {0: "n"}},
    )
    expected = torch.sigmoid(answer(network.inner, channels=3))[:, 0].numpy()
    np.testing.assert_allclose(adopt(path).predict(images()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "last", "head", "read"),
    [
        (2, None, "softmax", lambda x: x.softmax(1)[:, 1]),
        (4, None, "softmax:2", lambda x: x.softmax(1)[:, 2]),
        (3, None, "sigmoid:1", lambda x: x.sigmoid()[:, 1]),
        (1, nn.Sigmoid(), None, lambda x: x[:, 0]),
        (2, nn.Softmax(1), "probability:1", lambda x: x[:, 1]),
    ],
    ids=["softmax", "softmax of four", "one of three", "a sigmoid inside", "a softmax inside"],
)
def test_any_head(
    outputs: int,
    last: nn.Module | None,
    head: str | None,
    read: Callable[[torch.Tensor], torch.Tensor],
    tmp_path: Path,
) -> None:
    network = Small(outputs=outputs, last=last)
    model = adopt(write_onnx(tmp_path / "a.onnx", network), head=head)
    expected = read(answer(network)).numpy()
    probability, logits = model.answer(images())
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), expected, atol=1e-4)


def test_folds_become_one_file(tmp_path: Path) -> None:
    networks = [Small(), Small()]
    nn.init.constant_(networks[1].fc.bias, 0.7)
    files = [write_onnx(tmp_path / f"fold{n}.onnx", one) for n, one in enumerate(networks)]
    model = adopt(*files)
    each = torch.stack([torch.sigmoid(answer(one))[:, 0] for one in networks])
    np.testing.assert_allclose(model.predict(images()), each.mean(0).numpy(), atol=1e-5)
    assert [one.fold for one in model.card.checkpoints] == [0, 1]


def test_weights_beside_the_file_travel_and_count(tmp_path: Path) -> None:
    whole = onnx.load(write_onnx(tmp_path / "a.onnx", Small()))
    path = tmp_path / "b.onnx"
    onnx.save(whole, path, save_as_external_data=True, location="b.data", size_threshold=0)
    before = adopt(path)
    expected = torch.sigmoid(answer(Small()))[:, 0].numpy()
    np.testing.assert_allclose(before.predict(images()), expected, atol=1e-5)
    data = bytearray((tmp_path / "b.data").read_bytes())
    data[-1] ^= 1
    (tmp_path / "b.data").write_bytes(data)
    assert adopt(path).card.checkpoints[0].sha256 != before.card.checkpoints[0].sha256


def test_a_network_that_scales_pixels_itself_is_noted(tmp_path: Path) -> None:
    network = nn.Sequential(Scale(), Small())
    progress = Recorder()
    adopt(write_onnx(tmp_path / "a.onnx", network), progress=progress)
    assert any("scales or shifts the pixels itself" in text for text in progress.texts)


class Scale(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - 0.5) / 0.25


# --- what is refused ---


def altered(change: Callable[[onnx.ModelProto], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        model = onnx.load(write_onnx(folder / "whole.onnx", Small()))
        change(model)
        onnx.save(model, folder / "a.onnx")
        return folder / "a.onnx"

    return write


def train_mode(model: onnx.ModelProto) -> None:
    """Let the pooled features' norm be computed over whatever is in the batch."""
    node = next(one for one in model.graph.node if one.op_type == "Conv")
    ones = [helper.make_tensor(f"one{n}", TensorProto.FLOAT, [8], [1.0] * 8) for n in range(4)]
    model.graph.initializer.extend(ones)
    inner = node.output[0]
    node.output[0] = "raw"
    norm = helper.make_node(
        "BatchNormalization",
        ["raw", "one0", "one1", "one2", "one3"],
        [inner, "mean", "var"],
        training_mode=1,
    )
    place = list(model.graph.node).index(node) + 1
    model.graph.node.insert(place, norm)


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def second_output(model: onnx.ModelProto) -> None:
    other = helper.make_node("Identity", [model.graph.output[0].name], ["other"])
    model.graph.node.append(other)
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", 1]))


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.nobody"
    model.opset_import.append(helper.make_opsetid("com.nobody", 1))


def small(**how: Any) -> Callable[[Path], Path]:
    network = how.pop("network", Small)
    return lambda folder: write_onnx(folder / "a.onnx", network(), **how)


REFUSED: dict[str, tuple[Callable[[Path], Path], dict[str, Any], type[Exception], str]] = {
    "training mode": (altered(train_mode), {}, InputError, "exported in training mode"),
    "weights elsewhere": (altered(outside), {}, InputError, "read its weights from .*passwd"),
    "two outputs": (
        altered(second_output),
        {},
        UsageError,
        r"gives prediction \[n, 1\], other \[n, 1\]\. Name the one .* --onnx-output",
    ),
    "unknown operator": (altered(custom_operator), {}, InputError, "cannot be opened by ONNX Run"),
    "another size": (small(size=(64, 64)), {}, InputError, "takes images of 64×64, and .* 96×64"),
    "a sigmoid of a sigmoid": (
        lambda folder: write_onnx(folder / "a.onnx", Small(last=nn.Sigmoid())),
        {"head": "sigmoid:0"},
        UsageError,
        "--head is sigmoid:0, but|ends in a Sigmoid of its own",
    ),
    "logits taken for probabilities": (
        lambda folder: write_onnx(folder / "a.onnx", nn.Sequential(Small(outputs=2), Scale())),
        {"head": "probability:1"},
        CheckError,
        "says that the network gives probabilities, but it gives",
    ),
    "an output that is not there": (
        lambda folder: write_onnx(folder / "a.onnx", Small(outputs=2)),
        {"head": "sigmoid:2"},
        UsageError,
        "--head sigmoid:2 does not fit",
    ),
    "a map": (
        lambda folder: write_onnx(folder / "a.onnx", Small().features),
        {"head": "sigmoid:0"},
        InputError,
        "it is no prediction of an image",
    ),
    "six channels": (
        lambda folder: write_onnx(folder / "a.onnx", Small(6), channels=6),
        {},
        InputError,
        "takes 6 channels",
    ),
    "a factory": (small(), {"factory": "a:b"}, UsageError, "--factory cannot be used with --onnx"),
    "checkpoints": (small(), {"checkpoints": (Path("a.pt"),)}, UsageError, "--ckpt, --run and"),
    "another precision": (small(), {"precision": "fp16"}, UsageError, "Export it in float16"),
    "nothing known": (small(), {"mean": None, "std": None}, UsageError, "--mean: .*\n.*--std"),
    "no ONNX": (lambda folder: Path(__file__), {}, InputError, "is not an ONNX file"),
    "missing": (lambda folder: folder / "no.onnx", {}, InputError, "cannot be read"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_predict_something_else_is_refused(what: str, tmp_path: Path) -> None:
    write, changes, kind, message = REFUSED[what]
    path = write(tmp_path)
    told = {**TOLD_ONNX, "onnx": (path,), **changes}
    with pytest.raises(kind, match=message):
        export.build(options(**told), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_our_own_file_is_no_source(tmp_path: Path) -> None:
    adopt(write_onnx(tmp_path / "a.onnx", Small()))
    with pytest.raises(InputError, match="was exported by `rsna-bundle model`"):
        reading.read(tmp_path / "bundle" / "model.onnx")


def test_an_output_may_be_named(tmp_path: Path) -> None:
    path = altered(second_output)(tmp_path)
    expected = torch.sigmoid(answer(Small()))[:, 0].numpy()
    model = adopt(path, onnx_output="other")
    np.testing.assert_allclose(model.predict(images()), expected, atol=1e-5)
    assert reading.read(path, "other").output == "other"
