"""Attention as one operator: ONNX Runtime then never holds the table of every token with every.

The exporter would write softmax(q·kᵀ)·v as its formula, whose table is N·heads·tokens² numbers:
510 MB at 1536×768 in patches of 16. `MultiHeadAttention` of ONNX Runtime goes through it block by
block, on the CPU and on the GPU. What it cannot take is written as the formula.
"""

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnxscript import opset20 as op
from onnxscript.function_libs.torch_lib.ops.nn import aten_scaled_dot_product_attention
from onnxscript.values import Op, Opset

_Schema = onnx.defs.OpSchema
DOMAIN = "com.microsoft"
# The part of ONNX Runtime's operator that is used here.
MULTI_HEAD_ATTENTION = Op(
    Opset(DOMAIN, 1),
    "MultiHeadAttention",
    _Schema(
        "MultiHeadAttention",
        DOMAIN,
        1,
        inputs=[_Schema.FormalParameter(name, "T") for name in ("query", "key", "value")],
        outputs=[_Schema.FormalParameter("output", "T")],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "")],
        attributes=[
            _Schema.Attribute("num_heads", _Schema.AttrType.INT, required=True),
            _Schema.Attribute("scale", _Schema.AttrType.FLOAT, required=False),
        ],
    ),
)


def attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Write `scaled_dot_product_attention`: [N, heads, tokens, width], of V with its own width."""
    others = attn_mask is not None or is_causal or enable_gqa or dropout_p
    if others or not all(map(_has_known_heads, (query, key, value))):
        return aten_scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
        )
    heads = query.shape[1]
    answer = MULTI_HEAD_ATTENTION(
        *map(_join_heads, (query, key, value)),
        num_heads=heads,
        **({} if scale is None else {"scale": scale}),
    )
    apart: Any = op.Constant(value_ints=[0, query.shape[2], heads, value.shape[3]])
    return op.Transpose(op.Reshape(answer, apart), perm=[0, 2, 1, 3])


def _has_known_heads(value: Any) -> bool:
    """Return whether all sides but the first are numbers, not symbols."""
    return len(value.shape) == 4 and all(isinstance(side, int) for side in value.shape[1:])


def _join_heads(value: Any) -> Any:
    """Return [N, tokens, heads · width] of [N, heads, tokens, width]."""
    _, heads, tokens, width = value.shape
    together: Any = op.Constant(value_ints=[0, tokens, heads * width])
    return op.Reshape(op.Transpose(value, perm=[0, 2, 1, 3]), together)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: attend
}
