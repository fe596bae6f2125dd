"""Which forms of an op run on a device, whether the device is here or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.labs.kernels.work import Work

if TYPE_CHECKING:
    from kernels_pallas.dispatch import Target

HERE = "here"

# Platform and kind, as jax names them.
_KINDS = {
    "h200": ("cuda", "NVIDIA H200"),
    "tpu-v5e": ("tpu", "TPU v5 lite"),
    "tpu-v6e": ("tpu", "TPU v6 lite"),
}


def forms(work: Work, keys: Sequence[str]) -> dict[str, str]:
    """The form that `implementation="auto"` takes, by device key."""
    import jax

    from kernels_pallas import dispatch

    arrays = jax.eval_shape(work.draw)
    names = {}
    for key in keys:
        named = _KINDS.get(key)
        target = dispatch.target_named(*named) if named else dispatch.current_target()
        chosen = dispatch.first_choice(work.call("auto"), *arrays, target=target)
        names[key] = chosen.form
    return names


def runnable(work: Work, target: Target | None = None) -> list[str]:
    """The forms that a device can run at this shape, to be timed beside each other.

    XLA's first; then the one that "auto" takes, the op's kernels and its library's form, of those
    that differ. Forms that the op has for CPUs count where "auto" takes them: some of the others
    take longer to compile than anyone waits.

    Args:
        target: the device; the one that is here when None.
    """
    import jax

    from kernels_pallas import dispatch

    device = target or dispatch.current_target()
    arrays, op = jax.eval_shape(work.draw), work.dispatched
    found = ["xla"]
    for form in ("auto", *op.pallas, *filter(None, [op.library])):
        try:
            choice = dispatch.first_choice(work.call(form), *arrays, target=device)
        except ValueError:  # the op refuses the form for this device or shape
            continue
        found.append(choice.form)
    return list(dict.fromkeys(found))
