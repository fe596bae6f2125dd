"""The gated delta rule on any device: numbers against the recurrence, one gradient at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import gated_delta_rule, gated_delta_rule_step
from kernels_pallas.gated_delta_rule.inverse import unit_lower_inverse
from tests.kernels_pallas.delta_oracle import (
    BETAS,
    NAMES,
    STRENGTHS,
    both_ways,
    draw,
    errors,
    here,
    recurrence,
)
from tests.kernels_pallas.gla_oracle import error

FP32, BF16 = 1e-5, 1e-2
step = jax.jit(gated_delta_rule_step)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """Programs compute the same without; those beside torch are compiled in full."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def check(given, *, at_most=FP32):
    for name, size in errors(given, both_ways(*here(given))).items():
        assert size <= at_most, f"{name}: {size}"


def test_reference_is_the_recurrence():
    given = draw(strength="mild", beta="two", segments=True)
    arrays, ids, *_ = here(given)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.float64(a)) for a in arrays]
        out, final = gated_delta_rule(
            *wide[:5], initial_state=wide[5], segment_ids=ids, implementation="reference"
        )
        assert out.dtype == final.dtype == jnp.float64
        wanted_out, wanted_final = recurrence(given)
        assert error(out, wanted_out) < 1e-13
        assert error(final, wanted_final) < 1e-13


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_every_gate_and_strength_forward_and_backward(strength, beta):
    check(draw(strength=strength, beta=beta, segments=True))


def test_sums_below_200_in_a_chunk_are_among_the_strengths():
    assert draw(strength="strong", time=64).log_decay.sum(axis=1).min() < -200


@pytest.mark.slow
@pytest.mark.parametrize("beta", ["sigmoid", "two"])
def test_bfloat16(beta):
    given = draw(dtype=jnp.bfloat16, beta=beta, segments=True)
    check(given, at_most=BF16)
    out, final, gradients = both_ways(*here(given))
    assert out.dtype == jnp.bfloat16 and final.dtype == jnp.float32
    dtypes = [one.dtype for one in gradients]
    assert dtypes == [jnp.bfloat16] * 3 + [jnp.float32] * 3


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 16, 33, 200])
def test_any_length(time):
    strength = "none" if time == 33 else "strong"
    check(draw(batch=1, time=time, strength=strength, segments=time % 2 == 1))


def test_a_key_of_length_one_with_full_strength_is_replaced():
    given = draw(batch=1, time=1, strength="zero", groups=1)
    (q, k, v, beta, gate, state), *_ = here(given)
    _, state = step(q[:, 0], k[:, 0], v[:, 0], jnp.ones_like(beta[:, 0]), gate[:, 0], state)
    found = jnp.einsum("bgk,bhkv->bhv", k[:, 0], state)
    np.testing.assert_allclose(found, np.repeat(given.v[:, 0], 2, axis=1), atol=1e-5)


def test_an_id_that_comes_back_is_a_new_segment():
    given = draw(time=70)
    ids = np.zeros((2, 70), np.int32)
    ids[0, 10:20], ids[1, 40:64], ids[1, 69] = 5, -1, 3
    given = given._replace(segment_ids=ids)
    check(given)
    assert error(both_ways(*here(given))[0], recurrence(given)[0]) <= FP32


def grouped():
    """Two query heads to one of k, v, strengths and gates; and the same with all spelled out."""
    given = draw(heads=4, groups=2, time=40)
    few = given._replace(beta=given.beta[..., ::2], log_decay=given.log_decay[..., ::2])
    shared = {name: getattr(few, name).repeat(2, axis=2) for name in NAMES[1:5]}
    return few, given._replace(**shared)


@pytest.mark.slow
def test_grouped_heads_are_repeated_and_their_gradients_summed():
    given, whole = grouped()
    found, wanted = both_ways(*here(given)), both_ways(*here(whole))
    assert error(found[0], recurrence(whole)[0]) <= FP32
    for name, one, other in zip(NAMES, found[2], wanted[2], strict=True):
        if one.shape != other.shape:
            other = other.reshape(*one.shape[:2], 2, 2, *one.shape[3:]).sum(axis=3)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def test_pieces_go_on_where_the_last_stopped_and_steps_are_the_whole():
    given = draw(batch=1, time=40, beta="two", groups=1)
    arrays, *_ = here(given)
    out, final = recurrence(given)
    run = jax.jit(lambda state, *a: gated_delta_rule(*a, initial_state=state))
    head, tail = ([a[:, half] for a in arrays[:5]] for half in (slice(0, 20), slice(20, 40)))
    first, state = run(arrays[5], *head)
    second, last = run(state, *tail)
    assert error(jnp.concatenate([first, second], axis=1), out) <= FP32
    assert error(last, final) <= FP32
    for t in range(20):
        row, state = step(*(a[:, t] for a in tail), state)
        assert error(row, out[:, 20 + t]) <= FP32
    assert error(state, final) <= FP32


def test_a_step_without_gates_and_with_a_scale():
    given = draw(time=1, strength="none", groups=1)
    (q, k, v, beta, _, state), *_ = here(given)
    out, after = gated_delta_rule_step(q[:, 0], k[:, 0], v[:, 0], beta[:, 0], None, state, scale=2)
    wanted_out, wanted_state = recurrence(given, scale=2)
    assert error(out, wanted_out[:, 0]) <= FP32
    assert error(after, wanted_state) <= FP32


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_gives_nan_out(name):
    given = draw(segments=True)
    array = np.array(getattr(given, name), np.float32)
    array[0, 0] = np.nan
    found = both_ways(*here(given._replace(**{name: array})))
    assert np.isnan(found[0][0, 0]).any()
    assert not np.isnan(found[0][1]).any()
    assert np.isnan(found[2][0][0]).any() or name == "q"


def test_backward_keeps_the_inputs_and_no_state():
    arrays, *_ = here(draw(batch=1, heads=1, time=512))
    call = lambda *a: gated_delta_rule(*a[:5], initial_state=a[5])  # noqa: E731
    kept = jax.eval_shape(lambda *a: jax.vjp(call, *a)[1], *arrays)
    assert sum(leaf.size for leaf in jax.tree.leaves(kept)) == sum(a.size for a in arrays)


@pytest.mark.parametrize("size", [4, 16, 64])
def test_the_inverse_of_a_unit_lower_triangular_matrix(size):
    """Keys of length 1 all alike and strengths of 2: the powers of A reach 2^size, X stays 2."""
    rng = np.random.default_rng(0)
    mild = np.tril(rng.uniform(-1, 1, (3, size, size)), -1).astype(np.float32) / size**0.5
    alike = np.tril(np.full((1, size, size), 2, np.float32), -1)
    below = np.concatenate([mild, alike])
    found = jax.jit(unit_lower_inverse)(below)
    wanted = np.linalg.inv(np.eye(size) + np.float64(below))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(wanted[-1]).max() <= 2
