"""Forms with a gradient of their own: as fast as they are, where XLA's own is slower by far.

The gradient to x is the same form at stride 1, phase by phase (`phases`). On a CPU that of a
depthwise kernel is summed over blocks of rows (`sums`), that of a wider one is a convolution for
each group (`per_group`); elsewhere it is XLA's.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, NamedTuple

import jax

from kernels_pallas.conv2d.gradient import wide
from kernels_pallas.conv2d.window import Window
from kernels_pallas.grouped_conv2d import per_group, phases, sums, xla


class How(NamedTuple):
    """How a call runs: what is not an array.

    Args:
        form: name of a module here.
        groups: of channels.
        window: strides and padding.
        interpret: whether a Pallas form runs in the interpreter.
    """

    form: str
    groups: int
    window: Window
    interpret: bool = False

    @property
    def pallas(self) -> bool:
        """Whether the form is a kernel."""
        return self.form.startswith("mosaic")

    def convolve(self, x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
        """The form, without a gradient; a CPU computes half precision in float32."""
        module = importlib.import_module(f"kernels_pallas.grouped_conv2d.{self.form}")
        options: dict[str, Any] = {"interpret": self.interpret} if self.pallas else {}
        if not self.pallas:
            x, kernel = wide(x), wide(kernel)
        found: jax.Array = module.grouped_conv2d(
            x, kernel, groups=self.groups, window=window, **options
        )
        return found


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def grouped_conv2d(how: How, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x * kernel in the form of `how`."""
    return how.convolve(x, kernel, how.window).astype(x.dtype)


def _saved(how: How, x: jax.Array, kernel: jax.Array) -> Any:
    return grouped_conv2d(how, x, kernel), (x, kernel)


def _backward(how: How, saved: Any, out: jax.Array) -> Any:
    x, kernel = saved
    d_x = phases.gradient_of_x(
        how.convolve, out, kernel, groups=how.groups, window=how.window, pixels=x.shape[1:3]
    )
    return d_x.astype(x.dtype), _gradient_of_kernel(how, x, kernel, out).astype(kernel.dtype)


grouped_conv2d.defvjp(_saved, _backward)


def _gradient_of_kernel(how: How, x: jax.Array, kernel: jax.Array, out: jax.Array) -> jax.Array:
    if how.pallas:
        like = jax.ShapeDtypeStruct(kernel.shape, kernel.dtype)
        convolve = functools.partial(xla.grouped_conv2d, groups=how.groups, window=how.window)
        (found,) = jax.linear_transpose(lambda kernel: convolve(x, kernel), like)(out)
        return found
    if kernel.shape[2] == 1:
        taps = kernel.shape[0], kernel.shape[1]
        return sums.gradient_of_kernel(wide(x), wide(out), taps, how.window)
    return per_group.gradient_of_kernel(
        wide(x), wide(out), wide(kernel), groups=how.groups, window=how.window
    )
