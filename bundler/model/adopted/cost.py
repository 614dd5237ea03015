"""The floating-point operations of an ONNX graph: the products of convolutions and matrices."""

import math
from collections.abc import Sequence

import onnx


def count(model: onnx.ModelProto) -> int | None:
    """Return the operations that one image costs, where the shapes show them; None otherwise."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, ValueError):  # or more than 2 GB of weights
        return None
    graph = inferred.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        # What is open is the batch: one image.
        shapes[value.name] = [side.dim_value or 1 for side in value.type.tensor_type.shape.dim]
    total = sum(_cost(node, shapes) for node in graph.node)
    return total or None


def _cost(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """Return a node's multiplications and sums, counted as two."""
    known: Sequence[Sequence[int]] = [shapes.get(name, []) for name in node.input]
    out = shapes.get(node.output[0], []) if node.output else []
    if not out or len(known) < 2 or not known[1]:
        return 0
    if node.op_type == "Conv":  # weights [O, I / groups, h, w]
        return 2 * math.prod(out) * math.prod(known[1][1:])
    if node.op_type == "MatMul" and known[0]:
        return 2 * math.prod(out) * known[0][-1]
    if node.op_type == "Gemm" and known[0]:
        transposed = any(one.name == "transA" and one.i for one in node.attribute)
        return 2 * math.prod(out) * known[0][0 if transposed else -1]
    return 0
