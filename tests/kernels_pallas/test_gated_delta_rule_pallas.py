"""The gated delta rule's TPU kernel in its interpreter, against float64."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend import core

from kernels_pallas import gated_delta_rule
from kernels_pallas.gated_delta_rule import cases, cost, mosaic_tpu
from tests.kernels_pallas.delta_oracle import (
    BETAS,
    NAMES,
    STRENGTHS,
    draw,
    errors,
    here,
    recurrence,
)
from tests.kernels_pallas.gla_oracle import error
from workbench.measure import macs

LIMITS = {jnp.float32: 1e-5, jnp.bfloat16: 1e-2}


@functools.partial(jax.jit, static_argnums=0)
def run(chunk_size, arrays, ids, d_out, d_final):
    """Out, final state and every gradient, from the form in its interpreter."""

    def call(q, k, v, beta, log_decay, state):
        return gated_delta_rule(
            q, k, v, beta, log_decay, initial_state=state, segment_ids=ids,
            chunk_size=chunk_size, implementation="mosaic_tpu", interpret=True,
        )  # fmt: skip

    (out, final), pull = jax.vjp(call, *arrays)
    return out, final, pull((d_out, d_final))


def check(given, chunk_size=16):
    found = run(chunk_size, *here(given))
    for name, size in errors(given, found).items():
        assert size <= LIMITS[given.q.dtype.type], f"{name}: {size}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "strength, beta", [("mild", "two"), ("zero", "ends"), ("strong", "two"), ("resets", "sigmoid")]
)
def test_gates_of_every_strength(strength, beta):
    check(draw(batch=1, time=40, strength=strength, beta=beta, segments=True))


@pytest.mark.slow
def test_no_gates():
    check(draw(batch=1, time=40, strength="none", beta="two"))


@pytest.mark.slow
def test_heads_of_whole_lanes_in_bfloat16():
    """Heads 128 wide are cut out of the arrays where they lie; two query heads share a key."""
    sizes = {"batch": 1, "time": 100, "key": 128, "value": 128, "groups": 1}
    check(draw(**sizes, dtype=jnp.bfloat16, beta="two"), chunk_size=64)


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(
    time=st.integers(1, 160),
    widths=st.sampled_from([(8, 8), (16, 40), (128, 64), (64, 128)]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16]),
    strength=st.sampled_from(STRENGTHS),
    beta=st.sampled_from(BETAS),
    segments=st.booleans(),
    chunk_size=st.sampled_from([16, 32, 64, 128]),
)
def test_over_shapes(time, widths, dtype, strength, beta, segments, chunk_size):
    key, value = widths
    given = draw(
        batch=1, heads=1, time=time, key=key, value=value, dtype=dtype,
        strength=strength, beta=beta, segments=segments,
    )  # fmt: skip
    check(given, chunk_size)


SMALL = {"batch": 1, "time": 32, "heads": 1, "key": 8, "value": 8}


@jax.jit
def forward(*arrays):
    return mosaic_tpu.forward(*arrays, None, scale=8**-0.5, chunk_size=16, interpret=True)


def test_forward():
    given = draw(**SMALL, strength="resets", beta="two")
    for x, wanted in zip(forward(*here(given)[0]), recurrence(given), strict=True):
        assert error(x, wanted) <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_lost(name):
    arrays = dict(zip(NAMES, here(draw(**SMALL))[0], strict=True))
    arrays[name] = arrays[name].at[(0,) * arrays[name].ndim].set(jnp.nan)
    out, _ = forward(*arrays.values())
    assert np.isnan(out[0, 0]).any()


@pytest.mark.parametrize(
    "key, value, dtype, words",
    [(512, 512, "float32", "512 x 512"), (16, 4096, "float32", "values of 2048"),
     (64, 64, "float16", "not float16"), (256, 512, "float32", "")],
)  # fmt: skip
def test_what_does_not_fit_is_named(key, value, dtype, words):
    q, v = (jax.ShapeDtypeStruct((1, 8, 1, width), dtype) for width in (key, value))
    why = mosaic_tpu.unfit(q, q, v, None, None, chunk_size=64)
    assert words in why and bool(why) == bool(words)


@pytest.mark.parametrize("case", list(cases.cases()), ids=lambda one: one.name)
def test_cases_of_the_report_are_calls_and_cost_what_the_formulas_say(case):
    found = jax.make_jaxpr(case.function)(*case.arrays)
    q, v, state = case.arrays[0], case.arrays[2], case.arrays[-1]
    of = {"forward": cost.forward, "backward": cost.backward}[case.direction]
    sizes = {"gated": "no gate" not in case.name, "chunk": 64, "form": "mosaic_tpu", "size": 2}
    wanted = of(q.shape, v.shape[-1], **sizes)
    assert products(found.jaxpr) == wanted.macs
    assert macs.count(case.function, *case.arrays).total == wanted.macs
    shapes = [one.shape for one in found.out_avals]
    inputs = [one.shape for one in case.arrays[:-2]]
    assert shapes == ([v.shape, state.shape] if case.direction == "forward" else inputs)


def products(jaxpr):
    """MACs of the products in the bodies of kernels, as often as their grids run them."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name != "pallas_call":
            total += sum(products(inner) for inner in core.jaxprs_in_params(eqn.params))
            continue
        for inside in eqn.params["jaxpr"].eqns:
            if inside.primitive.name == "dot_general":
                ((axis,), _), _ = inside.params["dimension_numbers"]
                size = inside.outvars[0].aval.size * inside.invars[0].aval.shape[axis]
                total += size * math.prod(eqn.params["grid_mapping"].grid)
    return total
