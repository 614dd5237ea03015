"""The graph around adopted networks: uint8 pixels before them, the probability behind them.

Every operator used here means the same in all versions of ONNX from 11 on, so that a network keeps
the version that it was exported with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir
from onnx import TensorProto, helper, numpy_helper

from bundler.errors import InputError
from bundler.model.adopted.reading import OnnxFile
from bundler.model.head import Head
from bundler.model.network import LEAST
from train.checkpoint import Normalize

BATCH = "batch"
_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """What is put around a network."""

    size: tuple[int, int]  # height, width
    channels: int
    normalize: Normalize
    head: Head
    outputs: int
    metadata_width: int


class Nodes:
    """Nodes and constants that are being added to a graph, under names of one prefix."""

    def __init__(self, prefix: str) -> None:
        """Begin without any."""
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output, and return the output's name."""
        name = f"{self.prefix}{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def wrap(
    files: Sequence[OnnxFile], models: Sequence[onnx.ModelProto], how: Wrapping
) -> onnx_ir.Model:
    """Return one graph that averages adopted networks, with the inputs and outputs of ours."""
    _check_versions(files, models)
    joined = Nodes("rsna/")
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    logits, folds = [], []
    for number, (file, model) in enumerate(zip(files, models, strict=True)):
        # The names of two folds are the same: each gets a prefix of its own.
        own = onnx.compose.add_prefix(model, f"net{number}/")
        around = Nodes(f"rsna{number}/")
        answer = _call(own, file, around, how, f"net{number}/")
        logit, probability = _read_head(around, answer, how)
        nodes += around.nodes
        weights += [*own.graph.initializer, *around.constants]
        logits.append(logit)
        folds.append(probability)
    mean = joined.add("Mean", *folds)
    flat = joined.constant(np.array([-1], np.int64))
    last = [
        helper.make_node("Reshape", [mean, flat], ["probability"]),
        helper.make_node("Concat", folds, ["folds"], axis=1),
        helper.make_node("Concat", logits, ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        [*nodes, *joined.nodes, *last],
        "rsna-bundle",
        list(_inputs(how)),
        list(_outputs(len(files))),
        [*weights, *joined.constants],
    )
    made = helper.make_model(
        graph,
        opset_imports=_union_of_opsets(models),
        functions=list(_functions(models)),
        ir_version=max(model.ir_version for model in models),
    )
    wrapped = onnx_ir.from_proto(made)
    # Outputs that nobody asked for, and what only they need.
    onnx_ir.passes.common.RemoveUnusedNodesPass()(wrapped)
    return wrapped


def _check_versions(files: Sequence[OnnxFile], models: Sequence[onnx.ModelProto]) -> None:
    versions: dict[str, int] = {}
    for file, model in zip(files, models, strict=True):
        for used in model.opset_import:
            if versions.setdefault(used.domain, used.version) != used.version:
                raise InputError(
                    f"{file.path.name} uses version {used.version} of ONNX's operators and "
                    f"{files[0].path.name} version {versions[used.domain]}, so they cannot become "
                    "one file. Use --ensemble separate, or export them alike."
                )


def _union_of_opsets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    versions = {used.domain: used.version for model in models for used in model.opset_import}
    return [helper.make_opsetid(domain, number) for domain, number in sorted(versions.items())]


def _functions(models: Sequence[onnx.ModelProto]) -> Iterator[onnx.FunctionProto]:
    """Yield the files' own functions, each once: folds of one training have the same."""
    known: dict[tuple[str, str], bytes] = {}
    for model in models:
        for function in model.functions:
            content = function.SerializeToString(deterministic=True)
            first = known.setdefault((function.domain, function.name), content)
            if first is content:
                yield function
            elif first != content:
                raise InputError(
                    f"Two of the ONNX files have different functions {function.name}, so they "
                    "cannot become one file. Use --ensemble separate."
                )


def _inputs(how: Wrapping) -> Iterator[onnx.ValueInfoProto]:
    height, width = how.size
    yield helper.make_tensor_value_info("image", TensorProto.UINT8, [BATCH, 1, height, width])
    if how.metadata_width:
        width = how.metadata_width
        yield helper.make_tensor_value_info("metadata", TensorProto.FLOAT, [BATCH, width])


def _outputs(count: int) -> Iterator[onnx.ValueInfoProto]:
    yield helper.make_tensor_value_info("probability", TensorProto.FLOAT, [BATCH])
    for name in ("folds", "logits"):
        yield helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, count])


def _call(own: onnx.ModelProto, file: OnnxFile, around: Nodes, how: Wrapping, prefix: str) -> str:
    """Add a network to the nodes, and return the name of its answer [N, C], float32."""
    pixels = _prepare(around, file, how)
    inputs = {prefix + file.image.name: pixels}
    if file.metadata is not None:
        table = "metadata"
        if file.metadata.element == "float16":
            table = around.add("Cast", table, to=TensorProto.FLOAT16)
        inputs[prefix + file.metadata.name] = table
    output = prefix + file.output
    if file.image.batch is None:
        for name, source in inputs.items():
            around.nodes.append(helper.make_node("Identity", [source], [name]))
        around.nodes += own.graph.node
    else:
        output = _scan(own, file, around, inputs, output)
    answer = around.add("Cast", output, to=TensorProto.FLOAT)
    return around.add("Reshape", answer, around.constant(np.array([0, -1], np.int64)))


def _prepare(around: Nodes, file: OnnxFile, how: Wrapping) -> str:
    """Add what makes the network's input of uint8 [N, 1, H, W], and return its name."""
    pixels = "image"
    element = file.image.element
    if element != "uint8":
        # (x * scale - mean) / std, as one product and one sum
        mean, std = (np.array(one, np.float64) for one in (how.normalize.mean, how.normalize.std))
        sides = (1, -1, 1, 1)
        gain = around.constant((how.normalize.scale / std).astype(np.float32).reshape(sides))
        offset = around.constant((-mean / std).astype(np.float32).reshape(sides))
        pixels = around.add("Cast", pixels, to=TensorProto.FLOAT)
        pixels = around.add("Add", around.add("Mul", pixels, gain), offset)
    if how.channels > 1 and (
        element == "uint8" or len(how.normalize.mean) == 1 == len(how.normalize.std)
    ):
        pixels = around.add("Concat", *[pixels] * how.channels, axis=1)
    if file.image.channels_last:
        pixels = around.add("Transpose", pixels, perm=[0, 2, 3, 1])
    if element == "float16":
        pixels = around.add("Cast", pixels, to=TensorProto.FLOAT16)
    return pixels


def _scan(
    own: onnx.ModelProto,
    file: OnnxFile,
    around: Nodes,
    inputs: dict[str, str],
    output: str,
) -> str:
    """Add a network that takes a batch of its own size alone, called once for each image.

    One image fills such a batch, and the first answer counts: whatever the network was exported
    for, an image's answer does not depend on its neighbours.
    """
    body = Nodes(f"{around.prefix}scan/")
    assert file.image.batch is not None
    taken = []
    one = around.constant(np.array([1], np.int64))
    for name in inputs:
        taken.append(f"{body.prefix}{name}")
        # [C, H, W] → [1, C, H, W] → [B, C, H, W]
        shape = body.add("Concat", one, body.add("Shape", taken[-1]), axis=0)
        single = body.add("Reshape", taken[-1], shape)
        copies = [single] * file.image.batch
        body.nodes.append(helper.make_node("Concat", copies, [name], axis=0))
    body.nodes += own.graph.node
    rows = around.constant(np.array([file.image.batch, -1], np.int64))
    first = around.constant(np.array(0, np.int64))
    answers = body.add("Reshape", output, rows)
    answer = body.add("Gather", answers, first, axis=0)
    (given,) = (value for value in own.graph.output if value.name == output)
    kinds = [
        _TYPES[file.image.element],
        *([_TYPES[file.metadata.element]] if file.metadata else []),
    ]
    graph = helper.make_graph(
        body.nodes,
        "one image",
        [_value(name, kind) for name, kind in zip(taken, kinds, strict=True)],
        [_value(answer, given.type.tensor_type.elem_type)],
        body.constants,
    )
    return around.add("Scan", *inputs.values(), body=graph, num_scan_inputs=len(inputs))


def _value(name: str, element: int) -> onnx.ValueInfoProto:
    """Return a named tensor without its shape."""
    made = onnx.ValueInfoProto(name=name)
    made.type.tensor_type.elem_type = element
    return made


def _read_head(around: Nodes, answer: str, how: Wrapping) -> tuple[str, str]:
    """Add what makes logit and probability, [N, 1] each, of an answer [N, C]."""

    def pick(source: str, *numbers: int) -> str:
        return around.add("Gather", source, around.constant(np.array(numbers, np.int64)), axis=1)

    own = pick(answer, how.head.index)
    if how.head.kind == "probability":
        one = around.constant(np.array(1, np.float32))
        bounds = [around.constant(np.array(bound, np.float32)) for bound in (LEAST, 1 - LEAST)]
        inner = around.add("Clip", own, *bounds)
        return around.add("Log", around.add("Div", inner, around.add("Sub", one, inner))), own
    if how.head.kind == "softmax":
        rest = pick(answer, *[number for number in range(how.outputs) if number != how.head.index])
        # log Σ exp of the rest, as its first less the first's share of it
        share = around.add("LogSoftmax", rest, axis=1)
        others = around.add("Sub", pick(rest, 0), pick(share, 0))
        own = around.add("Sub", own, others)
    return own, around.add("Sigmoid", own)
