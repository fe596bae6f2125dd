"""Gated linear attention on any device: numbers against the recurrence, one gradient at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import gated_linear_attention, gated_linear_attention_step
from tests.kernels_pallas.gla_oracle import (
    NAMES,
    STRENGTHS,
    both_ways,
    draw,
    error,
    errors,
    here,
    recurrence,
)  # fmt: skip

FP32, BF16 = 1e-5, 1e-2


def check(given, *, intra="auto", at_most=FP32):
    found = both_ways(*here(given), intra=intra)
    for name, size in errors(given, found).items():
        assert size <= at_most, f"{name}: {size}"


def forward(given, **options):
    """Out and the final state, compiled as one program."""
    arrays, ids, *_ = here(given)
    run = jax.jit(
        lambda *a: gated_linear_attention(*a[:4], initial_state=a[4], segment_ids=ids, **options)
    )
    return run(*arrays)


def test_reference_is_the_recurrence():
    given = draw(kind="channel", strength="middling", segments=True)
    arrays, ids, *_ = here(given)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.float64(a)) for a in arrays]
        out, final = gated_linear_attention(
            *wide[:4], initial_state=wide[4], segment_ids=ids, implementation="reference"
        )
        assert out.dtype == final.dtype == jnp.float64
        wanted_out, wanted_final = recurrence(given)
        assert error(out, wanted_out) < 1e-14
        assert error(final, wanted_final) < 1e-14


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("kind", ["channel", "scalar"])
def test_every_gate_forward_and_backward(kind, strength):
    check(draw(kind=kind, strength=strength, segments=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["head", "none"])
def test_gates_of_a_head_and_none(kind):
    check(draw(kind=kind, strength="middling", segments=True))


@pytest.mark.parametrize("strength", ["mild", "middling", "strong"])
def test_two_level(strength):
    check(draw(strength=strength, segments=True), intra="two_level")


@pytest.mark.slow
@pytest.mark.parametrize("strength", ["mild", "middling"])
def test_one_level(strength):
    check(draw(strength=strength, segments=True), intra="one_level")


def test_sums_below_200_in_a_chunk_are_among_the_strengths():
    sums = [draw(strength=one, time=64).log_decay.sum(axis=1).min() for one in STRENGTHS]
    assert sums[0] > -10 and sums[2] < -200


@pytest.mark.parametrize("kind", ["channel", "scalar", "none"])
@pytest.mark.slow
def test_without_segments(kind):
    check(draw(kind=kind, strength="strong"))


@pytest.mark.parametrize("kind", ["scalar", pytest.param("channel", marks=pytest.mark.slow)])
def test_bfloat16(kind):
    given = draw(dtype=jnp.bfloat16, kind=kind, segments=True, strength="middling")
    check(given, at_most=BF16)
    out, final, gradients = both_ways(*here(given))
    assert out.dtype == jnp.bfloat16 and final.dtype == jnp.float32
    dtypes = dict(zip(NAMES, (g.dtype for g in gradients), strict=True))
    assert dtypes["q"] == dtypes["k"] == dtypes["v"] == jnp.bfloat16
    assert dtypes["log_decay"] == dtypes["initial_state"] == jnp.float32


@pytest.mark.parametrize("time", [1, 64, 200])
def test_any_length(time):
    given = draw(batch=1, time=time, kind="scalar", strength="middling")
    out, final = forward(given)
    wanted_out, wanted_final = recurrence(given)
    assert error(out, wanted_out) <= FP32
    assert error(final, wanted_final) <= FP32


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 15, 17, 32, 33, 63, 64, 65, 127, 200])
@pytest.mark.parametrize("kind", ["channel", "scalar", "head", "none"])
def test_any_length_backward(time, kind):
    check(draw(batch=1, time=time, kind=kind, strength="strong", segments=time % 2 == 1))


@pytest.mark.parametrize("chunk_size", [16, 128])
def test_chunk_size_changes_nothing_but_rounding(chunk_size):
    given = draw(batch=1)
    out, final = forward(given, chunk_size=chunk_size, intra="two_level")
    wanted_out, wanted_final = recurrence(given)
    assert error(out, wanted_out) <= FP32
    assert error(final, wanted_final) <= FP32


def test_an_id_that_comes_back_is_a_new_segment():
    given = draw(kind="scalar", time=70)
    ids = np.zeros((2, 70), np.int32)
    ids[0, 10:20], ids[1, 40:64], ids[1, 69] = 5, -1, 3
    given = given._replace(segment_ids=ids)
    check(given)
    out, _ = recurrence(given)
    found = both_ways(*here(given))
    assert error(found[0], out) <= FP32


def grouped(gate_heads):
    """Inputs with two query heads to one of k and v, and the same with all heads spelled out."""
    given = draw(heads=4, groups=2, kind="scalar", time=40)
    gates = given.log_decay
    if gate_heads == 2:
        gates = gates[..., ::2]
    whole = given._replace(
        k=given.k.repeat(2, axis=2),
        v=given.v.repeat(2, axis=2),
        log_decay=gates.repeat(4 // gate_heads, axis=2),
    )
    return given._replace(log_decay=gates), whole


@pytest.mark.parametrize("gate_heads", [4, 2])
def test_grouped_heads_are_repeated(gate_heads):
    given, whole = grouped(gate_heads)
    out, final = forward(given)
    wanted_out, wanted_final = recurrence(whole)
    assert error(out, wanted_out) <= FP32
    assert error(final, wanted_final) <= FP32


@pytest.mark.slow
@pytest.mark.parametrize("gate_heads", [4, 2])
def test_gradients_of_grouped_heads_are_sums(gate_heads):
    given, whole = grouped(gate_heads)
    pairs = zip(NAMES, both_ways(*here(given))[2], both_ways(*here(whole))[2], strict=True)
    for name, one, other in pairs:
        if one.shape != other.shape:
            other = other.reshape(*one.shape[:2], 2, 2, *one.shape[3:]).sum(axis=3)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_final_state_goes_on_where_it_stopped():
    given = draw(batch=1, kind="none", time=64)
    arrays, *_ = here(given)
    whole, final = gated_linear_attention(*arrays[:4], initial_state=arrays[4])
    head = [a[:, :32] for a in arrays[:3]]
    tail = [a[:, 32:] for a in arrays[:3]]
    first, state = gated_linear_attention(*head, initial_state=arrays[4])
    second, last = gated_linear_attention(*tail, initial_state=state)
    assert error(jnp.concatenate([first, second], axis=1), whole) <= 1e-6
    assert error(last, final) <= 1e-6


@pytest.mark.parametrize("kind", ["channel", "scalar", "head", "none"])
@pytest.mark.parametrize("groups", [2, 1])
def test_steps_are_the_recurrence(kind, groups):
    given = draw(kind=kind, strength="middling", time=9, groups=groups)
    (q, k, v, log_decay, state), *_ = here(given)
    step = jax.jit(gated_linear_attention_step)
    out = []
    for t in range(9):
        gate = log_decay if kind in ("head", "none") else log_decay[:, t]
        row, state = step(q[:, t], k[:, t], v[:, t], gate, state)
        out.append(row)
    wanted_out, wanted_final = recurrence(given)
    assert error(jnp.stack(out, axis=1), wanted_out) <= FP32
    assert error(state, wanted_final) <= FP32


def test_scale_and_the_zero_state():
    given = draw(kind="scalar", time=40)._replace(initial_state=np.zeros((2, 2, 16, 24)))
    arrays, *_ = here(given)
    out, _ = forward(given._replace(initial_state=None), scale=0.5)
    assert error(out, recurrence(given, scale=0.5)[0]) <= FP32
    step, _ = gated_linear_attention_step(
        *(a[:, 0] for a in arrays[:4]), jnp.zeros((2, 2, 16, 24)), scale=0.5
    )
    assert error(step, recurrence(given, scale=0.5)[0][:, 0]) <= FP32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["channel", "scalar"])
def test_nan_in_gives_nan_out(name, kind):
    given = draw(kind=kind, segments=True)
    array = np.array(getattr(given, name), np.float32)
    array[0, 0] = np.nan
    found = both_ways(*here(given._replace(**{name: array})))
    assert np.isnan(found[0][0, 0]).any()
    assert not np.isnan(found[0][1]).any() or name == "log_decay"
    gradient = found[2][0]
    assert np.isnan(gradient[0]).any() or name == "q"


def test_backward_keeps_the_inputs_and_no_state():
    given = draw(batch=1, heads=1, time=512)
    arrays, *_ = here(given)
    _, pull = jax.vjp(
        lambda *a: gated_linear_attention(*a[:4], initial_state=a[4], implementation="xla"),
        *arrays,
    )
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull))
    assert kept == sum(a.size for a in arrays)


@pytest.mark.slow
def test_one_batch_element_at_a_time_by_vmap():
    given = draw(kind="scalar", time=40)
    arrays, *_ = here(given)
    wanted, _ = gated_linear_attention(*arrays[:4])
    found, _ = jax.vmap(
        lambda *a: jax.tree.map(lambda x: x[0], gated_linear_attention(*(x[None] for x in a)))
    )(*arrays[:4])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
