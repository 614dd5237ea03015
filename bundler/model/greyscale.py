"""A mammogram is grey: a network made for colour need not convolve the same image three times.

The first convolution is linear, so that over equal channels it is a convolution of one of them
with its weights summed. A mean of its own for each channel leaves the graph as it is.
"""

import numpy as np
import onnx_ir


def merge_channels(model: onnx_ir.Model) -> None:
    """Let every convolution of copies of one channel take that channel alone."""
    for node in list(model.graph):
        if node.op_type == "Expand" and _copies_channel(node):
            convolutions = list(node.outputs[0].consumers())
            if all(map(_has_plain_weights, convolutions)):
                for convolution in convolutions:
                    _sum_weights(model.graph, convolution, node.inputs[0])
    onnx_ir.passes.common.RemoveUnusedNodesPass()(model)


def _copies_channel(expand: onnx_ir.Node) -> bool:
    """Return whether [N, 1, H, W] becomes [N, C, H, W]."""
    channel, copies = expand.inputs[0], expand.outputs[0].shape
    source = None if channel is None else channel.shape
    if source is None or copies is None or len(source) != 4 or len(copies) != 4:
        return False
    return bool(source[1] == 1 and source[2:] == copies[2:])


def _has_plain_weights(node: onnx_ir.Node) -> bool:
    """Return whether a node is a convolution of all channels at once by known weights."""
    group = node.attributes.get("group")
    return (
        node.op_type == "Conv"
        and (group is None or group.as_int() == 1)
        and node.inputs[1] is not None
        and node.inputs[1].const_value is not None
    )


def _sum_weights(
    graph: onnx_ir.Graph, convolution: onnx_ir.Node, channel: onnx_ir.Value | None
) -> None:
    """Replace a convolution's weights [O, C, h, w] by their sum [O, 1, h, w]."""
    colour = convolution.inputs[1]
    assert colour is not None
    assert colour.const_value is not None
    weights = colour.const_value.numpy()
    summed = weights.sum(axis=1, keepdims=True, dtype=np.float64).astype(weights.dtype)
    tensor = onnx_ir.tensor(summed)
    grey = onnx_ir.Value(
        name=f"{colour.name}_grey",
        const_value=tensor,
        shape=onnx_ir.Shape(summed.shape),
        type=onnx_ir.TensorType(tensor.dtype),
    )
    graph.register_initializer(grey)
    convolution.replace_input_with(0, channel)
    convolution.replace_input_with(1, grey)
