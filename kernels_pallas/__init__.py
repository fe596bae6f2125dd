"""Kernels with one definition each, a fast form per platform, and costs as formulas.

`kernels_pallas.attention` is the op itself; its folder holds the definition (`reference`), the
forms and `cost`. Reach those with `from kernels_pallas.attention import cost`.
"""

from kernels_pallas.attention import attention
from kernels_pallas.block_sparse_matmul import (
    BlockPattern,
    block_sparse_matmul,
    pack_blocks,
    unpack_blocks,
)
from kernels_pallas.conv2d import WinogradWeights, conv2d, winograd_weights
from kernels_pallas.convfirst_block import BlockWeights, convfirst_block
from kernels_pallas.dispatch import chosen
from kernels_pallas.gated_delta_rule import gated_delta_rule, gated_delta_rule_step
from kernels_pallas.gated_linear_attention import (
    gated_linear_attention,
    gated_linear_attention_step,
)
from kernels_pallas.gated_recurrence import gated_recurrence
from kernels_pallas.grouped_conv2d import grouped_conv2d
from kernels_pallas.mbconv_block import mbconv_block
from kernels_pallas.ternary import (
    PackedTernary,
    bit_linear,
    pack_ternary,
    rms_norm_quantize,
    ternary_matmul,
    ternary_matmul_int32,
    unpack_ternary,
)

__all__ = [
    "BlockPattern",
    "BlockWeights",
    "PackedTernary",
    "WinogradWeights",
    "attention",
    "bit_linear",
    "block_sparse_matmul",
    "chosen",
    "conv2d",
    "convfirst_block",
    "gated_delta_rule",
    "gated_delta_rule_step",
    "gated_linear_attention",
    "gated_linear_attention_step",
    "gated_recurrence",
    "grouped_conv2d",
    "mbconv_block",
    "pack_blocks",
    "pack_ternary",
    "rms_norm_quantize",
    "ternary_matmul",
    "ternary_matmul_int32",
    "unpack_blocks",
    "unpack_ternary",
    "winograd_weights",
]
