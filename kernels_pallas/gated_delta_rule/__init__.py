"""The gated delta rule: checks, custom gradient and choice of form; see `reference`.

A form is a module with `forward`, `backward` and, for Pallas, `unfit`. Its arguments have equal
heads, a given initial state, and `segments` that count 0, 1, ... along time (see
`gated_linear_attention.inputs.segments`); each form pads for itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas import checks, dispatch
from kernels_pallas.differentiable import Call, module
from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_delta_rule import inputs
from kernels_pallas.gated_delta_rule.step import gated_delta_rule_step
from kernels_pallas.gated_linear_attention.inputs import repeat_heads, segments

__all__ = ["OP", "gated_delta_rule", "gated_delta_rule_step"]

OP = dispatch.Op(inputs.OP_NAME, pallas=("mosaic_tpu",))


def gated_delta_rule(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    beta: jax.Array,
    log_decay: jax.Array | None = None,
    *,
    scale: float | None = None,
    initial_state: jax.Array | None = None,
    segment_ids: jax.Array | None = None,
    chunk_size: int = 64,
    implementation: str = "auto",
    interpret: bool = False,
    validate: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T; o_t = scale S_t^T q_t.

    Gated DeltaNet (Yang et al. 2024b, arXiv 2412.06464, eq. 10); with a = 1 the delta rule of
    DeltaNet (Yang et al. 2024a, arXiv 2406.06484, section 2.2). Computed by chunks: what a chunk's
    tokens write solves a triangular system, whose matrix is inverted by doubling blocks.

    Args:
        q: queries [B, T, H, K].
        k: keys [B, T, G, K]; G divides H, and query head h reads head h // (H // G). A key of
            length 1 and b = 1 replace what the state holds at the key; b > 2 / |k|^2 diverges.
        v: values [B, T, G, V], all three of one floating dtype.
        beta: strengths b of the writes [B, T, H] or [B, T, G], from 0 to 2, of any floating dtype.
        log_decay: log a, at most 0 (-inf forgets everything), of any floating dtype: [B, T, H] or
            [B, T, G]; None, no decay.
        scale: multiplies q; K^-0.5 when None.
        initial_state: [B, H, K, V] in float32 (float64 where q is); zeros when None.
        segment_ids: whole numbers [B, T]; the state restarts from zero where the number changes,
            and `initial_state` belongs to the first segment.
        chunk_size: the most tokens of a chunk, 16, 32, 64 or 128; a form may take fewer.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its own name.
        interpret: whether a Pallas form runs in the interpreter, on any device.
        validate: whether gates and strengths that are traced or many are tested, too: then wrap
            the caller in `jax.experimental.checkify.checkify`. Else a NaN gives NaN.

    Returns:
        (o [B, T, H, V] in the dtype of `q`, state after the last token [B, H, K, V] in float32,
        that of the last segment). Both have gradients, in every input but `segment_ids`; the
        backward pass recomputes the states instead of keeping them.

    Raises:
        TypeError: dtypes that are not floating, differ, or a state that is not float32.
        ValueError: shapes that do not fit, options that do not exist, a form that cannot run
            here, or gates or strengths out of their bounds where they are known.

    Cost: B H T (2 C (K + V) + 3 K V + the inverse) MACs forward with chunks of C tokens, about 3
    times that backward; the inputs and outputs once in bytes. `cost` has the formulas.
    """
    checks.option(inputs.OP_NAME, "chunk_size", chunk_size, inputs.CHUNK_SIZES)
    sizes = inputs.check(
        inputs.OP_NAME, q, k, v, beta, log_decay, initial_state,
        time=True, state_name="initial_state", validate=validate,
    )  # fmt: skip
    heads = sizes["H"]
    numbers = None if segment_ids is None else segments(segment_ids, sizes, inputs.OP_NAME)
    k, v, beta = (repeat_heads(one, heads, 2) for one in (k, v, beta))
    if log_decay is not None:
        log_decay = repeat_heads(log_decay, heads, 2)
    if initial_state is None:
        shape = (sizes["B"], heads, sizes["K"], sizes["V"])
        initial_state = jnp.zeros(shape, accumulator(q.dtype))

    def unfit(form: str) -> str:
        return module(__name__, form).unfit(q, k, v, log_decay, numbers, chunk_size=chunk_size)

    call = Call(
        package=__name__,
        form=OP.choose(implementation, interpret=interpret, unfit=unfit),
        fixed=interpret or implementation != "auto",
        options=(
            ("scale", float(sizes["K"] ** -0.5 if scale is None else scale)),
            ("chunk_size", chunk_size),
            ("interpret", interpret),
        ),
    )
    out, state = call(q, k, v, beta, log_decay, initial_state, numbers)
    return out, state
