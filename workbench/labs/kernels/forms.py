"""Which form of an op runs on a device, whether the device is here or not."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.labs.kernels.work import Work

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
