"""Gated linear attention's TPU and GPU kernels in their interpreters, against float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import gated_linear_attention, interpreter
from kernels_pallas.gated_linear_attention import cases, mosaic_gpu, mosaic_tpu
from tests.kernels_pallas.gla_oracle import STRENGTHS, draw, error, errors, here, recurrence

LIMITS = {jnp.float32: 1e-5, jnp.bfloat16: 1e-2}
GPU = {"dtype": jnp.bfloat16, "batch": 1, "heads": 1, "key": 64, "value": 64}
"""The least that the GPU form takes."""


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(form, chunk_size, arrays, ids, d_out, d_final):
    """Out, final state and every gradient, from a form in its interpreter."""

    def call(q, k, v, log_decay, state):
        return gated_linear_attention(
            q, k, v, log_decay, initial_state=state, segment_ids=ids,
            chunk_size=chunk_size, implementation=form, interpret=True,
        )  # fmt: skip

    (out, final), pull = jax.vjp(call, *arrays)
    return out, final, pull((d_out, d_final))


def check(form, given, chunk_size=64):
    found = run(form, chunk_size, *here(given))
    for name, size in errors(given, found).items():
        assert size <= LIMITS[given.q.dtype.type], f"{name}: {size}"


@pytest.mark.slow
@pytest.mark.parametrize("strength", ["mild", "stronger", "resets"])
def test_tpu_gates_of_every_strength(strength):
    check("mosaic_tpu", draw(time=40, strength=strength, segments=True), chunk_size=16)


@pytest.mark.parametrize("kind", ["scalar", "none", pytest.param("head", marks=pytest.mark.slow)])
def test_tpu_gates_of_every_kind(kind):
    check("mosaic_tpu", draw(time=40, kind=kind, strength="strong", segments=True), chunk_size=16)


@pytest.mark.slow
def test_tpu_heads_of_whole_lanes_in_bfloat16():
    """Heads 128 wide are cut out of the arrays where they lie; two query heads share a key."""
    sizes = {"batch": 1, "time": 48, "key": 128, "value": 128, "groups": 1}
    check("mosaic_tpu", draw(**sizes, dtype=jnp.bfloat16, strength="middling"), chunk_size=32)


@pytest.mark.slow
@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(
    time=st.integers(1, 160),
    widths=st.sampled_from([(8, 8), (16, 40), (128, 64), (64, 128)]),
    kind=st.sampled_from(["channel", "scalar", "head", "none"]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16]),
    strength=st.sampled_from(STRENGTHS),
    segments=st.booleans(),
    chunk_size=st.sampled_from([16, 32, 64, 128]),
)
def test_tpu_over_shapes(time, widths, kind, dtype, strength, segments, chunk_size):
    key, value = widths
    given = draw(
        batch=1, time=time, key=key, value=value,
        kind=kind, dtype=dtype, strength=strength, segments=segments,
    )  # fmt: skip
    found = run("mosaic_tpu", chunk_size, *here(given))
    for name, size in errors(given, found).items():
        # The gradient of a head's one gate is a sum over all tokens, which may nearly cancel.
        sums = kind == "head" and name == "log_decay"
        assert size <= LIMITS[dtype] * (10 if sums else 1), f"{name}: {size}"


def test_gpu_forward():
    given = draw(time=70, strength="resets", segments=True, **GPU)
    (arrays, ids, *_), wanted = here(given), recurrence(given)
    found = gated_linear_attention(
        *arrays[:4], initial_state=arrays[4], segment_ids=ids,
        implementation="mosaic_gpu", interpret=True,
    )  # fmt: skip
    for x, ref in zip(found, wanted, strict=True):
        assert error(x, ref) <= 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("strength", ["mild", "stronger", "resets"])
def test_gpu_gates_of_every_strength(strength):
    check("mosaic_gpu", draw(time=70, strength=strength, segments=True, **GPU))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scalar", "head", "none"])
def test_gpu_gates_of_every_kind(kind):
    check("mosaic_gpu", draw(time=64, kind=kind, strength="middling", segments=True, **GPU))


@pytest.mark.slow
@pytest.mark.long
def test_gpu_several_tiles_of_keys_and_values_and_more_chunks_than_stages():
    sizes = {"batch": 2, "heads": 2, "groups": 1, "time": 300, "key": 128, "value": 192}
    check("mosaic_gpu", draw(**GPU | sizes, strength="strong"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["channel", "scalar"])
def test_gpu_copies_do_not_race(kind):
    from jax._src.pallas.mosaic_gpu.interpret import interpret_pallas_call

    given = draw(time=260, kind=kind, strength="middling", **GPU)
    arrays, _, d_out, d_final = here(given)
    interpret_pallas_call.reset_gpu_interpret_mode_state()
    watched = {"interpret": interpreter.mosaic_gpu(detect_races=True)}
    watched |= {"scale": 0.1, "chunk_size": 64}
    mosaic_gpu.forward(*arrays, None, **watched)
    mosaic_gpu.backward(*arrays, None, d_out, d_final, **watched)
    assert not interpret_pallas_call.get_races().races_found


@pytest.mark.parametrize("form", ["mosaic_tpu", pytest.param("mosaic_gpu", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["q", "k", "v", "log_decay", "initial_state"])
def test_nan_is_never_lost(form, name):
    given = draw(**GPU | {"time": 16})
    arrays = dict(zip(("q", "k", "v", "log_decay", "initial_state"), here(given)[0], strict=True))
    arrays[name] = arrays[name].at[(0,) * arrays[name].ndim].set(jnp.nan)
    module = {"mosaic_tpu": mosaic_tpu, "mosaic_gpu": mosaic_gpu}[form]
    out, _ = module.forward(*arrays.values(), None, scale=1.0, chunk_size=64, interpret=True)
    assert np.isnan(np.asarray(out, np.float32)[0, 0]).any()


def test_what_does_not_fit_is_named():
    def why(form, **changes):
        sizes = {"dtype": jnp.bfloat16, "key": 64, "value": 64, "chunk_size": 64} | changes
        q = jax.ShapeDtypeStruct((1, 8, 1, sizes["key"]), sizes["dtype"])
        v = jax.ShapeDtypeStruct((1, 8, 1, sizes["value"]), sizes["dtype"])
        return form.unfit(q, q, v, None, None, chunk_size=sizes["chunk_size"])

    assert why(mosaic_tpu) == why(mosaic_tpu, dtype=jnp.float32) == why(mosaic_gpu) == ""
    assert "not float16" in why(mosaic_tpu, dtype=jnp.float16)
    for key, value in ((1024, 64), (64, 4096), (512, 1024)):
        assert f"{key} x {value}" in why(mosaic_tpu, key=key, value=value)
    assert "not float32" in why(mosaic_gpu, dtype=jnp.float32)
    assert "multiples of 64" in why(mosaic_gpu, value=96)
    assert "at most 256" in why(mosaic_gpu, key=512)
    assert "chunks of 64" in why(mosaic_gpu, chunk_size=32)
    given = draw(time=8)
    with pytest.raises(ValueError, match="mosaic_gpu.*not float32"):
        run("mosaic_gpu", 64, *here(given))


@pytest.mark.parametrize(
    "case", [one for one in cases.cases() if one.form == "mosaic_tpu"], ids=lambda one: one.name
)
def test_cases_of_the_report_are_calls(case):
    found = jax.eval_shape(case.function, *case.arrays)
    shapes = [one.shape for one in case.arrays]
    q, v, state = shapes[0], shapes[2], shapes[-1]
    if case.direction == "forward":
        assert [one.shape for one in found] == [v, state]
    else:
        assert [one.shape for one in jax.tree.leaves(found)][:3] == [q, q, v]
