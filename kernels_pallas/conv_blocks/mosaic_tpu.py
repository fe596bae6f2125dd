"""The blocks on TPU in one kernel each: what is between the layers never leaves the chip.

A program holds some rows of a picture, all channels, and walks through the hidden width, 128
channels at a time; the sum over them is in scratch. Block fusion after Lavin, "On the Efficiency of
Convolutional Neural Networks" (arXiv 2404.03617); this plan of it is ours. How pictures lie is in
`grouped_conv2d.mosaic_tpu_rows`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas.conv2d.window import Window
from kernels_pallas.conv_blocks import cost
from kernels_pallas.conv_blocks.weights import ACTIVATIONS, BlockWeights
from kernels_pallas.grouped_conv2d.mosaic_tpu_rows import (
    LANES,
    Rows,
    each_chunk,
    lanes,
    pitch,
    product,
    shifted,
    sums,
)
from kernels_pallas.grouped_conv2d.mosaic_tpu_rows import weights as by_lanes

MEMORY = 12 << 20
"""Bytes of VMEM for blocks, each twice, and scratch; a kernel has 16 MiB."""


class _Plan(NamedTuple):
    """What a kernel knows besides its arrays.

    Args:
        rows: how pictures lie.
        activation: name of it.
        centre: (rows, columns) to the pixel that is added to the result; None where none is.
        term: product of pixels with the weights of a tap.
    """

    rows: Rows
    activation: str
    centre: tuple[int, int] | None
    term: Any


def unfit(op: str, x: jax.Array, weights: BlockWeights, groups: int, window: Window) -> str:
    """Why the kernel cannot take these inputs; empty where it can."""
    *_, width, channels = weights.kernel.shape
    if window.strides != (1, 1):
        return f"the kernel is for strides of 1, not {window.strides}"
    if width * groups != channels or LANES % width:
        return f"groups of {width} channels to {channels // groups} do not share {LANES} lanes"
    if x.dtype.name not in ("float32", "bfloat16"):
        return f"x has dtype {x.dtype}; mosaic_tpu takes float32, bfloat16"
    if _block(op, x, weights, window) < 1:
        return f"one row of {x.shape[2]} pixels does not fit in the kernel's memory"
    return ""


def convfirst_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
    interpret: bool = False,
) -> jax.Array:
    """As `xla.convfirst_block`; what does not fit is in `unfit`."""
    kernel, term = by_lanes(weights.kernel)
    plan = _plan("convfirst_block", x, weights, window, activation, residual, term)
    inputs = lanes(x.shape[3])
    whole = pl.BlockSpec(kernel.shape, lambda b, i, s: (0,) * kernel.ndim)
    return _call(
        _convfirst,
        plan,
        x,
        [
            (kernel, whole),
            (_row(weights.kernel_bias), pl.BlockSpec((1, inputs), lambda b, i, s: (0, 0))),
            (_padded(weights.expand), pl.BlockSpec((inputs, LANES), lambda b, i, s: (0, s))),
            (_row(weights.expand_bias), pl.BlockSpec((1, LANES), lambda b, i, s: (0, s))),
        ],
        weights,
        window,
        pltpu.VMEM((plan.rows.written, inputs), x.dtype),
        cost.convfirst_block(x.shape, weights, window=window),
        interpret,
    )


def mbconv_block(
    x: jax.Array,
    weights: BlockWeights,
    *,
    groups: int,
    window: Window,
    activation: str,
    residual: bool,
    interpret: bool = False,
) -> jax.Array:
    """As `xla.mbconv_block`; what does not fit is in `unfit`.

    The bias of the expansion is one more input channel, of ones in the picture and zeros around
    it: every activation here is zero at zero, and so is then the hidden picture around.
    """
    kernel, term = by_lanes(weights.kernel)
    plan = _plan("mbconv_block", x, weights, window, activation, residual, term)
    ones = jnp.ones((*x.shape[:3], 1), x.dtype)
    expand = jnp.concatenate([weights.expand, weights.expand_bias[None]])
    inputs = lanes(x.shape[3] + 1)
    return _call(
        _mbconv,
        plan,
        jnp.concatenate([x, ones], -1),
        [
            (_padded(expand), pl.BlockSpec((inputs, LANES), lambda b, i, s: (0, s))),
            (kernel, pl.BlockSpec((None, *kernel.shape[1:]), lambda b, i, s: (s, 0, 0, 0))),
            (_row(weights.kernel_bias), pl.BlockSpec((1, LANES), lambda b, i, s: (0, s))),
        ],
        weights,
        window,
        pltpu.VMEM((plan.rows.read, LANES), x.dtype),
        cost.mbconv_block(x.shape, weights, window=window),
        interpret,
    )


def _convfirst(
    x_ref: Any, kernel_ref: Any, kernel_bias_ref: Any, expand_ref: Any, expand_bias_ref: Any,
    project_ref: Any, project_bias_ref: Any, out_ref: Any, middle_ref: Any, sum_ref: Any,
    *, plan: _Plan,
):  # fmt: skip
    act, first = ACTIVATIONS[plan.activation], pl.program_id(2) == 0

    @pl.when(first)
    def _():
        for register in range(middle_ref.shape[1] // LANES):
            here_lanes = pl.ds(register * LANES, LANES)

            def convolve(here: Any, register: int = register, at: Any = here_lanes) -> None:
                found = sums(x_ref.at[:, at], kernel_ref.at[register], here, plan.rows, plan.term)
                biased = found + kernel_bias_ref[:, at].astype(jnp.float32)
                middle_ref[here, at] = biased.astype(middle_ref.dtype)

            each_chunk(plan.rows.written, convolve)

    def project(here: Any) -> None:
        hidden = product(middle_ref[here], expand_ref[...])
        hidden = act(hidden + expand_bias_ref[...].astype(jnp.float32))
        _add(sum_ref, here, first, product(hidden, project_ref[...]))

    each_chunk(plan.rows.written, project)
    _finish(x_ref, project_bias_ref, out_ref, sum_ref, plan)


def _mbconv(
    x_ref: Any, expand_ref: Any, kernel_ref: Any, kernel_bias_ref: Any,
    project_ref: Any, project_bias_ref: Any, out_ref: Any, hidden_ref: Any, sum_ref: Any,
    *, plan: _Plan,
):  # fmt: skip
    act, first = ACTIVATIONS[plan.activation], pl.program_id(2) == 0

    def expand(here: Any) -> None:
        hidden_ref[here] = act(product(x_ref[here], expand_ref[...])).astype(hidden_ref.dtype)

    each_chunk(plan.rows.read, expand)

    def project(here: Any) -> None:
        found = sums(hidden_ref, kernel_ref, here, plan.rows, plan.term)
        middle = act(found + kernel_bias_ref[...].astype(jnp.float32))
        _add(sum_ref, here, first, product(middle, project_ref[...]))

    each_chunk(plan.rows.written, project)
    _finish(x_ref, project_bias_ref, out_ref, sum_ref, plan)


def _add(sum_ref: Any, here: Any, first: jax.Array, part: jax.Array) -> None:
    """Adds to a sum that begins with the first hidden channels."""
    before = jnp.where(first, jnp.zeros_like(part), sum_ref[here])
    sum_ref[here] = before + part


def _finish(x_ref: Any, bias_ref: Any, out_ref: Any, sum_ref: Any, plan: _Plan) -> None:
    """After the last hidden channels: the bias, the block's input, and out."""

    def finish(here: Any) -> None:
        total = sum_ref[here] + bias_ref[...].astype(jnp.float32)
        if plan.centre is not None:
            down, right = plan.centre
            outputs = x_ref.at[:, pl.ds(0, out_ref.shape[1])]
            total += shifted(outputs, here, down * plan.rows.pitch, right, 1)[0]
        out_ref[here] = total.astype(out_ref.dtype)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        each_chunk(plan.rows.written, finish)


def _call(
    body: Any,
    plan: _Plan,
    x: jax.Array,
    own: list[tuple[jax.Array, pl.BlockSpec]],
    weights: BlockWeights,
    window: Window,
    scratch: Any,
    costs: Any,
    interpret: bool,
) -> jax.Array:
    """Runs a kernel over pictures, blocks of rows and, in order, hidden channels."""
    rows, outputs = plan.rows, lanes(weights.project.shape[1])
    projection = _padded(weights.project)
    given = [
        (
            rows.column(x, window),
            pl.BlockSpec(
                (pl.Squeezed(), pl.Element(rows.read), pl.Element(lanes(x.shape[3]))),
                lambda b, i, s: (b, i * rows.written, 0),
            ),
        ),
        *own,
        (projection, pl.BlockSpec((LANES, outputs), lambda b, i, s: (s, 0))),
        (_row(weights.project_bias), pl.BlockSpec((1, outputs), lambda b, i, s: (0, 0))),
    ]
    found = pl.pallas_call(
        functools.partial(body, plan=plan),
        grid=(x.shape[0], rows.blocks, projection.shape[0] // LANES),
        in_specs=[spec for _, spec in given],
        out_specs=pl.BlockSpec((None, rows.written, outputs), lambda b, i, s: (b, i, 0)),
        out_shape=jax.ShapeDtypeStruct((x.shape[0], rows.blocks * rows.written, outputs), x.dtype),
        scratch_shapes=[scratch, pltpu.VMEM((rows.written, outputs), jnp.float32)],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary")
        ),
        cost_estimate=costs.estimate(),
        interpret=interpret,
        name=body.__name__.strip("_"),
    )(*(array for array, _ in given))
    size = window.outputs(x.shape[1:3], rows.taps)
    return rows.picture(found, size, weights.project.shape[1])


def _plan(
    op: str, x: jax.Array, weights: BlockWeights, window: Window, activation: str,
    residual: bool, term: Any,
) -> _Plan:  # fmt: skip
    taps = weights.kernel.shape[0], weights.kernel.shape[1]
    height = window.outputs(x.shape[1:3], taps)[0]
    block = min(height, _block(op, x, weights, window))
    rows = Rows(taps, pitch(window, x.shape), block, -(-height // block))
    centre = (window.padding[0][0], window.padding[1][0]) if residual else None
    return _Plan(rows, activation, centre, term)


def _block(op: str, x: jax.Array, weights: BlockWeights, window: Window) -> int:
    """Rows of the result in a program; below 1 where none fits."""
    height, width, group, channels = weights.kernel.shape
    size, first = x.dtype.itemsize, op == "convfirst_block"
    inputs = lanes(x.shape[3] + (0 if first else 1))
    outputs = lanes(weights.project.shape[1])
    tap = LANES * size * (LANES if group > 1 else 8)
    registers = lanes(channels) // LANES if first else 1
    fixed = 2 * height * width * tap * registers + 2 * LANES * (inputs + outputs) * size
    scratch = inputs if first else LANES
    wide = pitch(window, x.shape)
    again = wide * size * (2 * inputs + (0 if first else scratch))
    row = wide * (size * (2 * inputs + 2 * outputs + scratch) + 4 * outputs)
    return (MEMORY - fixed - height * again) // row


def _padded(matrix: jax.Array) -> jax.Array:
    """A matrix to whole registers either way."""
    rows, columns = matrix.shape
    return jnp.pad(matrix, ((0, lanes(rows) - rows), (0, lanes(columns) - columns)))


def _row(bias: jax.Array) -> jax.Array:
    """A bias [C] as a row of whole registers."""
    return jnp.pad(bias, (0, lanes(bias.shape[0]) - bias.shape[0]))[None]
