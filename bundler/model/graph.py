"""The ONNX graph: exported, stripped of the machine it came from, and described."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx_ir
import torch

from bundler.errors import InputError
from bundler.model import attention, greyscale
from bundler.model.network import Folds
from inference.boot.card import Card, parse_card
from inference.boot.fields import plain
from inference.boot.manifest import canonical
from inference.predict import METADATA_KEY

OUTPUTS = ("probability", "folds", "logits")
OPSET = 20  # the first with Gelu: one pass over the memory where its formula takes five
# What hands numbers on, or picks some, between a network's last layer and the logits.
_PASSED_THROUGH = {
    *("Concat", "Unsqueeze", "Squeeze", "Reshape", "Gather", "Slice", "Cast", "Identity", "Sub"),
    *("Flatten", "Split"),
}
_DEEPEST = 16
LARGEST_BATCH = 1 << 16
EMBEDDED_LIMIT = 2 * 1000**3  # bytes; protobuf holds no more than 2 GiB in one message


def export(
    network: Folds, size: tuple[int, int], metadata_width: int, architecture: str
) -> onnx_ir.Model:
    """Return the graph of a network for images of `size` (H, W), its batch dynamic."""
    inputs: list[torch.Tensor] = [torch.zeros((2, 1, *size), dtype=torch.uint8)]
    if metadata_width:
        inputs.append(torch.zeros((2, metadata_width)))
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network.eval(),
                tuple(inputs),
                dynamo=True,
                opset_version=OPSET,
                custom_translation_table=attention.TRANSLATIONS,
                input_names=["image", "metadata"][: len(inputs)],
                output_names=list(OUTPUTS),
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"{architecture} cannot be exported to ONNX for images of {size[0]}×{size[1]}: "
            f"{reason} Does the architecture take this size? Another --preset or --arch may."
        ) from error
    assert program is not None  # it is None only where `f` is given
    greyscale.merge_channels(program.model)
    return program.model


def find_activation(model: onnx_ir.Model) -> str | None:
    """Return the activation that a network ends in before its answer is read, if in one."""
    value: onnx_ir.Value | None = model.graph.outputs[OUTPUTS.index("logits")]
    for _ in range(_DEEPEST):
        node = None if value is None else value.producer()
        if node is None:
            return None
        if node.op_type in ("Sigmoid", "Softmax"):
            return node.op_type
        if node.op_type not in _PASSED_THROUGH:
            return None
        value = node.inputs[0]
    return None


def quantize(model: onnx_ir.Model, folder: Path) -> onnx_ir.Model:
    """Return a graph with its weights as int8, its activations quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx_ir.save(model, source)
    with _quiet():
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    quantized = onnx_ir.load(target)
    for path in (source, target):
        path.unlink()
    return quantized


def strip(model: onnx_ir.Model) -> None:
    """Remove what tells of the exporting machine: stack traces, paths, the names of modules."""
    model.doc_string = None
    model.metadata_props.clear()
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            values += node.outputs
        for value in values:
            value.metadata_props.clear()
            value.doc_string = None


def write(model: onnx_ir.Model, path: Path, card: Card | None = None) -> list[Path]:
    """Write a graph with its card; the weights go beside it where one file cannot hold them."""
    if card is not None:
        model.metadata_props[METADATA_KEY] = canonical(plain(card)).decode()
    weights = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )
    if weights < EMBEDDED_LIMIT:
        onnx_ir.save(model, path)
        return [path]
    data = path.with_name(path.name + ".data")
    onnx_ir.save(model, path, external_data=data.name)
    return [path, data]


def read_card(path: Path) -> Card:
    """Return what an ONNX file says of itself; weights are not read."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except DecodeError as error:
        raise InputError(
            f"{path} is not an ONNX file, or is cut short or damaged. Copy it again from its "
            "bundle, or export it again."
        ) from error
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            try:
                return parse_card(entry.value)
            except ValueError as error:
                raise InputError(
                    f"{path} carries no readable {METADATA_KEY} metadata: {error}. Export it again "
                    "with `rsna-bundle model`."
                ) from error
    raise InputError(
        f"{path} carries no {METADATA_KEY} metadata: it was not exported by `rsna-bundle model`."
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter off the terminal; its errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the quantiser speaks through the root logger
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # torch 2.13's exporter trips over deprecations of its own.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # Both inputs share one batch: that its name is used once is right.
            warnings.filterwarnings("ignore", message="# The axis name")
            yield
    finally:
        logging.disable(before)
