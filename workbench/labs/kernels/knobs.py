"""What the form asks: an op, its shape, how it is run, and for which device."""

from __future__ import annotations

from typing import Literal

from workbench.panels.view import KnobGroup, Preset, Values
from workbench.study.knobs import Knobs, knob

GROUP = "kernel"

OPS = {
    "gated_linear_attention": "Gated linear attention",
    "gated_recurrence": "Gated recurrence",
    "ternary_matmul": "Ternary matmul",
    "attention": "Softmax attention",
    "gated_delta_rule": "Gated delta rule",
    "rms_norm_quantize": "Norm and quantise",
    "bit_linear": "Ternary layer in training",
    "block_sparse_matmul": "Block-sparse matmul",
    "conv2d": "Convolution",
    "grouped_conv2d": "Grouped convolution",
    "convfirst_block": "ConvFirst block",
    "mbconv_block": "MBConv block",
}

_HEADED = ("gated_linear_attention", "attention", "gated_delta_rule")
_DECAYING = ("gated_linear_attention", "gated_recurrence", "gated_delta_rule")
_SEQUENCES = ("gated_linear_attention", "gated_recurrence", "attention", "gated_delta_rule")
_PRODUCTS = ("ternary_matmul", "bit_linear", "block_sparse_matmul")
_MATRICES = (*_PRODUCTS, "rms_norm_quantize")
GROUPED = ("grouped_conv2d", "convfirst_block", "mbconv_block")
_PICTURES = ("conv2d", *GROUPED)
_WITH_GRADIENTS = (*_SEQUENCES, "bit_linear", "block_sparse_matmul", "conv2d", "grouped_conv2d")
_TYPED = tuple(name for name in OPS if name != "ternary_matmul")

SIZED_BY = {
    **dict.fromkeys(_SEQUENCES, "tokens"),
    **dict.fromkeys(_MATRICES, "rows"),
    **dict.fromkeys(_PICTURES, "pixels"),
}
"""The knob that makes an op's arrays larger."""


class Kernel(Knobs):
    """One op at one shape."""

    op: Literal[
        "gated_linear_attention", "gated_recurrence", "ternary_matmul", "attention",
        "gated_delta_rule", "rms_norm_quantize", "bit_linear", "block_sparse_matmul", "conv2d",
        "grouped_conv2d", "convfirst_block", "mbconv_block",
    ] = knob(
        "gated_linear_attention",
        label="Kernel",
        help="The op that is looked at.",
        choices=OPS,
    )  # fmt: skip
    device: Literal["h200", "tpu-v5e", "tpu-v6e", "here"] = knob(
        "h200",
        label="Device",
        help="The roof that is drawn stronger; every device is predicted, this machine is timed.",
        choices={
            "h200": "NVIDIA H200", "tpu-v5e": "TPU v5e", "tpu-v6e": "TPU v6e",
            "here": "This machine",
        },
    )  # fmt: skip
    direction: Literal["forward", "both"] = knob(
        "forward",
        label="Pass",
        help="Forward alone, or with the gradients of every input.",
        choices={"forward": "Forward", "both": "Forward and backward"},
        static=True,
        visible_when={"op": _WITH_GRADIENTS},
    )
    dtype: Literal["bfloat16", "float32"] = knob(
        "bfloat16",
        label="Type",
        help="Of the inputs; sums and states are kept in float32.",
        choices={"bfloat16": "bfloat16", "float32": "float32"},
        static=True,
        visible_when={"op": _TYPED},
    )
    batch: int = knob(
        1, ge=1, le=64, scale="log", label="Batch", help="Sequences or pictures at once.",
        static=True, visible_when={"op": (*_SEQUENCES, *_PICTURES)},
    )  # fmt: skip
    tokens: int = knob(
        2048, ge=16, le=65536, scale="log", label="Tokens", help="Length of a sequence.",
        static=True, visible_when={"op": _SEQUENCES},
    )  # fmt: skip
    heads: int = knob(
        4, ge=1, le=64, scale="log", label="Heads", help="Heads of queries, keys and values.",
        static=True, visible_when={"op": _HEADED},
    )  # fmt: skip
    key_width: int = knob(
        128, ge=8, le=512, scale="log", label="Key width", help="Width of a head's keys.",
        static=True, visible_when={"op": _HEADED},
    )  # fmt: skip
    value_width: int = knob(
        256, ge=8, le=512, scale="log", label="Value width", help="Width of a head's values.",
        static=True, visible_when={"op": _HEADED},
    )  # fmt: skip
    gate: Literal["channel", "scalar", "none"] = knob(
        "channel",
        label="Gate",
        help="One gate for each key channel, one for each head, or none.",
        choices={"channel": "Per channel", "scalar": "Per head", "none": "None"},
        static=True,
        visible_when={"op": "gated_linear_attention"},
    )
    intra: Literal["auto", "one_level", "two_level"] = knob(
        "auto",
        label="Inside a chunk",
        help="How scores inside a chunk are formed; automatic stays exact for any gate.",
        choices={"auto": "Automatic", "one_level": "One level", "two_level": "Two levels"},
        static=True,
        visible_when={"op": "gated_linear_attention", "gate": "channel"},
    )
    strength: float = knob(
        0.05, ge=0.001, le=20, scale="log", label="Decay a step", unit="nats",
        help="Mean of −log of a gate: what a state loses each step. GLA's are about 0.05.",
        visible_when={"op": _DECAYING},
    )  # fmt: skip
    causal: bool = knob(
        True, label="Causal", help="Whether a query sees only what came before it.", static=True,
        visible_when={"op": "attention"},
    )  # fmt: skip
    width: int = knob(
        1024, ge=8, le=8192, scale="log", label="Width", help="Channels of the recurrence.",
        static=True, visible_when={"op": "gated_recurrence"},
    )  # fmt: skip
    rows: int = knob(
        1, ge=1, le=4096, scale="log", label="Rows", help="Tokens or pixels at once.",
        static=True, visible_when={"op": _MATRICES},
    )  # fmt: skip
    inputs: int = knob(
        2048, ge=32, le=16384, scale="log", label="Inputs", help="Depth of the product.",
        static=True, visible_when={"op": _MATRICES},
    )  # fmt: skip
    outputs: int = knob(
        5632, ge=32, le=16384, scale="log", label="Outputs", help="Columns of the weight.",
        static=True, visible_when={"op": _PRODUCTS},
    )  # fmt: skip
    block: Literal[32, 64, 128] = knob(
        64, label="Block", help="Rows and columns of a block.", static=True,
        choices={32: "32 × 32", 64: "64 × 64", 128: "128 × 128"},
        visible_when={"op": "block_sparse_matmul"},
    )  # fmt: skip
    density: float = knob(
        0.17, ge=0.01, le=1, label="Kept", help="Share of the blocks that are kept.", static=True,
        visible_when={"op": "block_sparse_matmul"},
    )  # fmt: skip
    pixels: int = knob(
        28, ge=1, le=512, scale="log", label="Pixels", help="A side of the pictures.", static=True,
        visible_when={"op": _PICTURES},
    )  # fmt: skip
    channels: int = knob(
        128, ge=1, le=4096, scale="log", label="Channels", help="Of pictures and result.",
        static=True, visible_when={"op": _PICTURES},
    )  # fmt: skip
    taps: int = knob(
        3, ge=1, le=7, label="Taps", help="A side of the kernel.", static=True,
        visible_when={"op": _PICTURES},
    )  # fmt: skip
    group: int = knob(
        1, ge=1, le=512, scale="log", label="Group", help="Channels of a group; 1 is depthwise.",
        static=True, visible_when={"op": GROUPED},
    )  # fmt: skip


GROUPS = (KnobGroup(GROUP, "Kernel", Kernel),)

PRESETS = (
    Preset(
        "A layer of GLA 340M",
        {GROUP: {"op": "gated_linear_attention", "tokens": 2048, "key_width": 128}},
    ),
    Preset(
        "A MatMul-free 1.3B projection, decoding",
        {GROUP: {"op": "ternary_matmul", "rows": 1, "inputs": 2048, "outputs": 5632}},
    ),
    Preset(
        "Self-attention of Stable Diffusion, 64 × 64",
        {GROUP: {"op": "attention", "tokens": 4096, "heads": 8, "key_width": 40,
                 "value_width": 40, "causal": False}},
    ),
)  # fmt: skip


def kernel(values: Values) -> Kernel:
    """The form's settings."""
    knobs = values[GROUP]
    assert isinstance(knobs, Kernel), "the form has one group"
    return knobs
