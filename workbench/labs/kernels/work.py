"""An op at one shape: what it costs by formula, and how a form of it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.labs.kernels.knobs import OPS, Kernel

if TYPE_CHECKING:
    import jax

    from kernels_pallas.costs import Cost
    from kernels_pallas.dispatch import Op

Function = Callable[..., Any]

_HOMES = {
    "sequences": ("attention", "gated_linear_attention", "gated_recurrence", "gated_delta_rule"),
    "matrices": ("ternary_matmul", "rms_norm_quantize", "bit_linear", "block_sparse_matmul"),
    "pictures": ("conv2d", "grouped_conv2d", "convfirst_block", "mbconv_block"),
}
"""The file of each op's call."""


@dataclass(frozen=True)
class Work:
    """One call of an op.

    Args:
        op: name in `kernels_pallas`.
        setting: its shape in words.
        cost: from a form's name to the cost of one call in it, by the op's own formulas.
        arithmetic: dtype whose peak rate bounds it.
        draw: makes its arguments, random and on the device.
        call: from a form's name to the function of those arguments, gradients included where
            they are asked for.
        dispatched: the op as the library chooses its forms.
    """

    op: str
    setting: str
    cost: Callable[[str], Cost]
    arithmetic: str
    draw: Callable[[], Sequence[jax.Array]]
    call: Callable[[str], Function]
    dispatched: Op

    @property
    def name(self) -> str:
        """The op's name on the screen."""
        return OPS[self.op]


def work(knobs: Kernel) -> Work:
    """The work of a form's settings. Loads jax, and computes nothing."""
    home = next(name for name, ops in _HOMES.items() if knobs.op in ops)
    found: Work = getattr(import_module(f"workbench.labs.kernels.{home}"), knobs.op)(knobs)
    return found
