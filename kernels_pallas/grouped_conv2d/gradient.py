"""Forms with a gradient of their own, where XLA's own is slower by far.

The gradient to x is a convolution at stride 1, phase by phase (`phases`): in the same form where
one was asked for by name, else in the one that was measured fastest for its shape. On a CPU that of
the kernel has forms of its own (`KERNELS`), chosen alike; elsewhere it is XLA's.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from kernels_pallas.conv2d.gradient import wide
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import (
    beside,
    choice,
    merged,
    per_group,
    phases,
    products,
    sums,
    taps,
    xla,
)

FORMS: dict[str, Callable[..., jax.Array]] = {
    "xla": xla.grouped_conv2d,
    "taps": taps.grouped_conv2d,
    "taps_blocks": taps.in_blocks,
    "per_group": per_group.grouped_conv2d,
    **{
        name: functools.partial(beside.grouped_conv2d, pixels=pixels)
        for name, pixels in beside.FORMS.items()
    },
    **{
        name: functools.partial(merged.grouped_conv2d, width=width)
        for name, width in merged.FORMS.items()
    },
}
"""Of a CPU: functions of x, kernel, groups and window."""

KERNELS: dict[str, Callable[..., jax.Array]] = {
    "sums": lambda x, out, kernel, *, groups, window: sums.gradient_of_kernel(
        x, out, kernel.shape[:2], window
    ),
    "per_group": per_group.gradient_of_kernel,
    "dense": merged.gradient_of_kernel,
    **{
        name: functools.partial(products.gradient_of_kernel, width=width)
        for name, width in products.FORMS.items()
    },
}
"""The gradient to the kernel on a CPU, of x, the result's gradient, kernel, groups and window."""


class How(NamedTuple):
    """How a call runs: what is not an array.

    Args:
        form: of the convolution: a name of `FORMS`, or of a module with a kernel.
        groups: of channels.
        window: strides and padding.
        interpret: whether a Pallas form runs in the interpreter.
        free: whether gradients take the forms measured fastest for them, not this one.
    """

    form: str
    groups: int
    window: Window
    interpret: bool = False
    free: bool = False

    @property
    def pallas(self) -> bool:
        """Whether the form is a kernel."""
        return self.form.startswith("mosaic")

    def convolve(self, x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
        """The form, without a gradient; a CPU computes half precision in float32."""
        if self.pallas:
            module = importlib.import_module(f"kernels_pallas.grouped_conv2d.{self.form}")
            found: jax.Array = module.grouped_conv2d(
                x, kernel, groups=self.groups, window=window, interpret=self.interpret
            )
            return found
        return FORMS[self.form](wide(x), wide(kernel), groups=self.groups, window=window)

    def convolve_back(self, x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
        """What the gradient to the pictures is made of."""
        if not self.free or self.pallas:
            return self.convolve(x, kernel, window)
        form = choice.fastest(x.shape, kernel.shape, self.groups, window)
        return self._replace(form=form).convolve(x, kernel, window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def grouped_conv2d(how: How, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x * kernel in the form of `how`."""
    return how.convolve(x, kernel, how.window).astype(x.dtype)


def _saved(how: How, x: jax.Array, kernel: jax.Array) -> Any:
    return grouped_conv2d(how, x, kernel), (x, kernel)


def _backward(how: How, saved: Any, out: jax.Array) -> Any:
    x, kernel = saved
    d_x = phases.gradient_of_x(
        how.convolve_back, out, kernel, groups=how.groups, window=how.window, pixels=x.shape[1:3]
    )
    return d_x.astype(x.dtype), _gradient_of_kernel(how, x, kernel, out).astype(kernel.dtype)


grouped_conv2d.defvjp(_saved, _backward)


def _gradient_of_kernel(how: How, x: jax.Array, kernel: jax.Array, out: jax.Array) -> jax.Array:
    if how.pallas:
        convolve = functools.partial(xla.grouped_conv2d, groups=how.groups, window=how.window)
        (found,) = jax.linear_transpose(lambda kernel: convolve(x, kernel), kernel)(out)
        return found
    form = choice.fastest_for_kernel(x.shape, kernel.shape, how.groups, how.window)
    return KERNELS[form](wide(x), wide(out), wide(kernel), groups=how.groups, window=how.window)
