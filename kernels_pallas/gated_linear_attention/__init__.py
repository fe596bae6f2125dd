"""Gated linear attention: checks, custom gradient and choice of form; see `reference`.

A form is a module with `forward`, `backward` and, for Pallas, `unfit`. Its arguments have equal
heads, a given initial state, and `segments` that count 0, 1, ... along time (see
`inputs.segments`); each form pads for itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from kernels_pallas import checks, dispatch
from kernels_pallas.differentiable import Call, module
from kernels_pallas.dtypes import accumulator
from kernels_pallas.gated_linear_attention import inputs
from kernels_pallas.gated_linear_attention.step import gated_linear_attention_step

__all__ = ["OP", "gated_linear_attention", "gated_linear_attention_step"]

OP = dispatch.Op(inputs.OP_NAME, pallas=("mosaic_tpu", "mosaic_gpu"), wgmma=True)


def gated_linear_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    log_decay: jax.Array | None = None,
    *,
    scale: float | None = None,
    initial_state: jax.Array | None = None,
    segment_ids: jax.Array | None = None,
    chunk_size: int = 64,
    intra: str = "auto",
    implementation: str = "auto",
    interpret: bool = False,
    validate: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """S_t = Diag(exp g_t) S_{t-1} + k_t v_t^T; o_t = scale S_t^T q_t (Yang et al. 2023, eq. 3).

    Computed by chunks (section 3.3); between chunks only states pass, inside one the scores
    A_ij = scale sum_d q_id k_jd exp(G_id - G_jd), j <= i, with G the running sum of the gates.

    Args:
        q: queries [B, T, H, K].
        k: keys [B, T, G, K]; G divides H, and query head h reads head h // (H // G).
        v: values [B, T, G, V], all three of one floating dtype.
        log_decay: log of the gates, at most 0 (-inf forgets everything), of any floating dtype:
            [B, T, H, K] per channel; [B, T, H] or [H], one for all channels, which is cheaper;
            None, no decay. Its heads may also be the G of `k`.
        scale: multiplies q; K^-0.5 when None.
        initial_state: [B, H, K, V] in float32 (float64 where q is); zeros when None.
        segment_ids: whole numbers [B, T]; the state restarts from zero where the number changes,
            and `initial_state` belongs to the first segment.
        chunk_size: the most tokens of a chunk, 16, 32, 64 or 128; a form may take fewer.
        intra: scores inside a chunk with per-channel gates, in the XLA form. "one_level" factors
            the whole chunk around one point: exact while its gates sum to more than -80, infinite
            from about -170 on. "two_level" factors sub-blocks of 16 tokens, with that limit for
            each. "auto" looks at the gates: mild ones go one level, others a way that is exact
            for gates of any strength, at 1.4 to 1.7 times the time. The Pallas forms always are.
        implementation: "auto", "reference", "xla", "pallas", or a Pallas form by its own name.
        interpret: whether a Pallas form runs in the interpreter, on any device.
        validate: whether gates that are traced or many are tested, too: then wrap the caller in
            `jax.experimental.checkify.checkify`. Else a NaN gate gives NaN.

    Returns:
        (o [B, T, H, V] in the dtype of `q`, state after the last token [B, H, K, V] in float32,
        that of the last segment). Both have gradients, in every input but `segment_ids`; the
        backward pass recomputes the states instead of keeping them.

    Raises:
        TypeError: dtypes that are not floating, differ, or a state that is not float32.
        ValueError: shapes that do not fit, options that do not exist, a form that cannot run
            here, or positive or NaN gates where they are known.

    Cost: B H T (C (2 K + V) + 2 K V) MACs forward with chunks of C tokens, about 2.5 times that
    backward; the inputs and outputs once in bytes. `cost` has the formulas.
    """
    checks.option(inputs.OP_NAME, "chunk_size", chunk_size, inputs.CHUNK_SIZES)
    checks.option(inputs.OP_NAME, "intra", intra, inputs.INTRA)
    sizes = inputs.check(
        inputs.OP_NAME, q, k, v, log_decay, initial_state,
        time=True, state_name="initial_state", validate=validate,
    )  # fmt: skip
    heads = sizes["H"]
    segments = None if segment_ids is None else inputs.segments(segment_ids, sizes)
    k, v = inputs.repeat_heads(k, heads, 2), inputs.repeat_heads(v, heads, 2)
    if log_decay is not None:
        log_decay = inputs.repeat_heads(log_decay, heads, min(2, log_decay.ndim - 1))
    if initial_state is None:
        shape = (sizes["B"], heads, sizes["K"], sizes["V"])
        initial_state = jnp.zeros(shape, accumulator(q.dtype))

    def unfit(form: str) -> str:
        return module(__name__, form).unfit(q, k, v, log_decay, segments, chunk_size=chunk_size)

    call = Call(
        package=__name__,
        form=OP.choose(implementation, interpret=interpret, unfit=unfit),
        fixed=interpret or implementation != "auto",
        options=(
            ("scale", float(sizes["K"] ** -0.5 if scale is None else scale)),
            ("chunk_size", chunk_size),
            ("intra", intra),
            ("interpret", interpret),
        ),
    )
    out, state = call(q, k, v, log_decay, initial_state, segments)
    return out, state
