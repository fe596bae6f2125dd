"""Ops on pictures: convolutions, and blocks of three layers as one op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import Kernel
from workbench.labs.kernels.passes import Function, added, itemsize, normal, passes
from workbench.labs.kernels.work import Work

if TYPE_CHECKING:
    import jax

    from kernels_pallas.conv2d.window import Window
    from kernels_pallas.costs import Cost
    from kernels_pallas.dispatch import Op


def conv2d(knobs: Kernel) -> Work:
    """A convolution that keeps pixels and channels."""
    from kernels_pallas import conv2d as op
    from kernels_pallas.conv2d import OP
    from kernels_pallas.conv2d.cost import cost, winograd_cost

    x, kernel, window = _shapes(knobs, knobs.channels)

    def counted(form: str) -> Cost:
        if form.startswith("winograd") and knobs.direction == "forward":
            return winograd_cost(x, kernel, window=window, outputs=4 if "4" in form else 2)
        return _both(cost, knobs, x, kernel, window)

    def call(form: str) -> Function:
        return passes(lambda *arrays: op(*arrays, implementation=form), knobs)

    return _work(knobs, f"{knobs.taps} × {knobs.taps}", counted, [x, kernel], call, OP)


def grouped_conv2d(knobs: Kernel) -> Work:
    """A convolution of channels in groups, depthwise where a group is one channel."""
    from kernels_pallas import grouped_conv2d as op
    from kernels_pallas.grouped_conv2d import OP
    from kernels_pallas.grouped_conv2d.cost import cost

    width = group_of(knobs)
    x, kernel, window = _shapes(knobs, width)

    def call(form: str) -> Function:
        groups = knobs.channels // width
        return passes(lambda *arrays: op(*arrays, groups=groups, implementation=form), knobs)

    words = f"{knobs.taps} × {knobs.taps}, groups of {width}"
    counted = _both(cost, knobs, x, kernel, window)
    return _work(knobs, words, lambda form: counted, [x, kernel], call, OP)


def convfirst_block(knobs: Kernel) -> Work:
    """Grouped convolution first, then two pointwise layers, and the sum with what came in."""
    from kernels_pallas import convfirst_block as op
    from kernels_pallas.convfirst_block import OP
    from kernels_pallas.convfirst_block.cost import cost

    return _block(knobs, op, OP, cost, knobs.channels)


def mbconv_block(knobs: Kernel) -> Work:
    """A pointwise layer, a grouped convolution of more channels, and a pointwise layer back."""
    from kernels_pallas import mbconv_block as op
    from kernels_pallas.mbconv_block import OP
    from kernels_pallas.mbconv_block.cost import cost

    return _block(knobs, op, OP, cost, EXPANSION * knobs.channels)


EXPANSION = 4
"""Hidden channels of a block over its own."""


def _block(knobs: Kernel, op: Any, choice: Op, cost: Any, spatial: int) -> Work:
    """A block whose convolution is over `spatial` channels: one op where it is a kernel."""
    from kernels_pallas import BlockWeights

    channels, hidden, width = knobs.channels, EXPANSION * knobs.channels, group_of(knobs)
    x, (*taps, _, _), window = _shapes(knobs, width)
    kernel = (*taps, width, spatial)
    shapes = [
        x, kernel, (spatial,), (channels, hidden), (hidden,), (hidden, channels), (channels,),
    ]  # fmt: skip

    def counted(form: str) -> Cost:
        size, fused = itemsize(knobs), form.startswith("mosaic")
        found: Cost = cost(x, kernel, hidden, channels, window=window, itemsize=size, fused=fused)
        return found

    def call(form: str) -> Function:
        groups = spatial // width
        return lambda x, *weights: op(x, BlockWeights(*weights), groups=groups, implementation=form)

    words = f"{knobs.taps} × {knobs.taps}, groups of {width}, {hidden} hidden"
    return _work(knobs, words, counted, shapes, call, choice)


def group_of(knobs: Kernel) -> int:
    """Channels of a group: what was asked for where it divides the channels, else the next less."""
    return next(n for n in range(min(knobs.group, knobs.channels), 0, -1) if not knobs.channels % n)


def _shapes(knobs: Kernel, width: int) -> tuple[Any, Any, Window]:
    """Of the pictures, of a kernel over groups of `width`, and where the kernel lies."""
    from kernels_pallas.conv2d.window import window

    taps, pixels = (knobs.taps, knobs.taps), (knobs.pixels, knobs.pixels)
    place = window(pixels, taps, 1, "SAME")
    return (knobs.batch, *pixels, knobs.channels), (*taps, width, knobs.channels), place


def _both(cost: Any, knobs: Kernel, x: Any, kernel: Any, window: Window) -> Cost:
    """Of the passes that are asked for."""
    size = itemsize(knobs)
    forward: Cost = cost(x, kernel, window=window, itemsize=size)
    if knobs.direction == "forward":
        return forward
    return added(forward, cost(x, kernel, window=window, itemsize=size, backward=True))


def _work(
    knobs: Kernel, words: str, cost: Any, shapes: Sequence[Any], call: Any, choice: Op
) -> Work:
    def draw() -> list[jax.Array]:
        x, *weights = normal(knobs.dtype, *shapes)
        # As wide as what came in, whatever a layer adds up.
        return [x, *(one / max(1, one.size // one.shape[-1]) ** 0.5 for one in weights)]

    return Work(
        op=knobs.op,
        setting=f"{knobs.batch} × {knobs.pixels} × {knobs.pixels} pixels, {knobs.channels} "
        f"channels, {words}",
        cost=cost,
        arithmetic=knobs.dtype,
        draw=draw,
        call=call,
        dispatched=choice,
    )
