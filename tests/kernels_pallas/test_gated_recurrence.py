"""The gated recurrence in plain XLA against float64, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels_pallas
from kernels_pallas import gated_recurrence
from kernels_pallas.dispatch import Target, choices
from kernels_pallas.gated_recurrence import OP, cost, padding, xla
from tests.kernels_pallas.recurrence_oracle import (
    STRENGTHS,
    assert_close,
    by_hand,
    inputs,
    relative,
)


@pytest.fixture
def by_halves(monkeypatch):
    """The form that runs where there is no CPU, on this one."""
    monkeypatch.setattr(xla, "forward", xla._halves)
    monkeypatch.setattr(xla, "backward", xla._halves_backward)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", ["reference", "xla"])
def test_forms_follow_a_loop_by_hand(form, reverse):
    decay, x, initial, _ = inputs((2, 33, 5), strength="any sign")
    states = gated_recurrence(decay, x, initial=initial, reverse=reverse, implementation=form)
    assert relative(states, by_hand(decay, x, initial, reverse)) <= 1e-6


def test_no_initial_state_is_zero():
    decay, x, initial, _ = inputs((2, 9, 3))
    without = gated_recurrence(decay, x)
    np.testing.assert_array_equal(without, gated_recurrence(decay, x, initial=initial * 0))


shapes = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 9))


@settings(max_examples=8, deadline=None)
@given(
    shape=shapes,
    dtype=st.sampled_from(["float32", "bfloat16"]),
    gate_dtype=st.sampled_from(["float32", "bfloat16"]),
    strength=st.sampled_from(sorted(STRENGTHS)),
    reverse=st.booleans(),
)
def test_states_and_each_gradient(shape, dtype, gate_dtype, strength, reverse):
    arrays = inputs(shape, dtype, strength, gate_dtype=gate_dtype)
    assert_close(arrays, reverse=reverse, implementation="xla")


@pytest.mark.parametrize(
    ("strength", "reverse"),
    [("mild", False), ("strong", True), ("closed", True), ("any sign", False)],
)
def test_halves_are_the_same(by_halves, strength, reverse):
    arrays = inputs((2, 37, 4), strength=strength)
    assert_close(arrays, reverse=reverse, implementation="xla")


def test_halves_take_bfloat16(by_halves):
    assert_close(inputs((1, 20, 3), "bfloat16"), implementation="xla")


def test_features_of_any_rank():
    arrays = inputs((2, 7, 3, 4))
    assert_close(arrays, implementation="xla")
    flat = gated_recurrence(*(one.reshape(2, 7, 12) for one in arrays[:2]))
    np.testing.assert_array_equal(gated_recurrence(*arrays[:2]).reshape(2, 7, 12), flat)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_long_sequence_stays_exact(reverse):
    """More elements than the loop takes the gradient of decay of."""
    arrays = inputs((1, 4096, 20))
    assert arrays[1].size > xla.FEW
    assert_close(arrays, reverse=reverse, implementation="xla")


def test_float64_stays_float64():
    with jax.enable_x64(True):
        decay, x, initial, _ = inputs((1, 50, 3), "float64")
        states = gated_recurrence(decay, x, initial=initial)
        assert states.dtype == jnp.float64
        assert relative(states, by_hand(decay, x, initial)) <= 1e-14


@pytest.mark.parametrize("form", ["reference", "xla"])
@pytest.mark.parametrize("name", ["decay", "x"])
@pytest.mark.parametrize("reverse", [False, True])
def test_nan_stays_from_its_step_on(form, name, reverse):
    decay, x, _, _ = inputs((1, 12, 2))
    spoilt = {"decay": decay, "x": x}
    spoilt[name] = spoilt[name].at[0, 5, 1].set(jnp.nan)
    states = gated_recurrence(**spoilt, reverse=reverse, implementation=form)
    lost = np.isnan(np.asarray(states))
    assert not lost[..., 0].any()
    assert lost[0, :, 1].tolist() == [(t <= 5) if reverse else (t >= 5) for t in range(12)]


def test_nan_stays_in_halves(by_halves):
    decay, x, _, _ = inputs((1, 12, 2))
    states = jax.jit(gated_recurrence)(decay.at[0, 5, 1].set(jnp.nan), x)
    assert np.isnan(np.asarray(states))[0, 5:, 1].all()


@pytest.mark.parametrize("halves", [False, True])
def test_decays_whose_product_overflows_leave_zero_alone(halves, request):
    if halves:
        request.getfixturevalue("by_halves")
    x = jnp.zeros((1, 300, 1)).at[0, 298].set(1.0)
    states = jax.jit(gated_recurrence)(jnp.full((1, 300, 1), 3.0), x)
    assert states[0, 298:, 0].tolist() == [1.0, 3.0] and not states[0, :298].any()


def test_gradient_of_a_gradient():
    decay, x, _, _ = inputs((1, 6, 2))

    def slope(form):
        def loss(x):
            return jnp.sum(jnp.sin(gated_recurrence(decay, x, implementation=form)))

        return jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) ** 2))(x)

    assert relative(slope("xla"), slope("reference")) <= 1e-5


def test_under_jit_and_vmap():
    decay, x, _, _ = inputs((4, 10, 3))
    together = gated_recurrence(decay, x)
    alone = jax.vmap(lambda f, x: gated_recurrence(f[None], x[None])[0])(decay, x)
    assert relative(alone, together) <= 1e-6
    assert relative(jax.jit(gated_recurrence)(decay, x), together) <= 1e-6


SPOILT = {
    "rank": (lambda f, x, h: (f[0], x[0], None), ValueError, r"x has shape \(6, 3\)"),
    "decay": (lambda f, x, h: (f[:, :4], x, None), ValueError, r"decay has shape .*needed \[2, 6"),
    "initial": (lambda f, x, h: (f, x, h[:, :2]), ValueError, r"initial has shape \(2, 2\)"),
    "empty": (
        lambda f, x, h: (f[:, :0], x[:, :0], None),
        ValueError,
        "x has shape .* no axis may be",
    ),
    "dtype": (lambda f, x, h: (f, x.astype(int), None), TypeError, "x has dtype int32"),
    "initial dtype": (lambda f, x, h: (f, x, h.astype(int)), TypeError, "initial has dtype int32"),
}


@pytest.mark.parametrize("what", sorted(SPOILT))
def test_bad_input_names_the_argument(what):
    spoil, error, says = SPOILT[what]
    decay, x, initial = spoil(*inputs((2, 6, 3))[:3])
    with pytest.raises(error, match=f"gated_recurrence: {says}"):
        jax.eval_shape(lambda f, x: gated_recurrence(f, x, initial=initial), decay, x)


@settings(max_examples=20, deadline=None)
@given(decay=shapes, x=shapes)
def test_shapes_that_differ_are_refused(decay, x):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (decay, x)]
    if decay == x:
        assert jax.eval_shape(gated_recurrence, *arrays).shape == x
    else:
        with pytest.raises(ValueError, match="gated_recurrence: decay has shape"):
            jax.eval_shape(gated_recurrence, *arrays)


@pytest.mark.parametrize("name", ["fast", "pallas", "mosaic_tpu", "mosaic_gpu"])
def test_what_cannot_run_here_is_refused(name):
    decay, x, _, _ = inputs((1, 4, 2))
    with pytest.raises(ValueError, match=f"implementation='{name}'"):
        gated_recurrence(decay, x, implementation=name)


def test_what_was_chosen_can_be_asked():
    decay, x, _, _ = inputs((1, 4, 2))
    with choices() as found:
        gated_recurrence(decay, x)
    assert [(one.op, one.form) for one in found] == [("gated_recurrence", "xla")]
    assert OP.choose(target=Target("gpu", "A100", (8, 0))) == "xla"
    assert OP.choose(target=Target("gpu", "H200", (9, 0))) == "mosaic_gpu"
    assert OP.choose(target=Target("tpu", "TPU v5 lite")) == "mosaic_tpu"


def test_half_precision_on_tpu_is_left_to_xla():
    half = jnp.zeros((1, 4, 2), jnp.float16)
    mesh = jax.sharding.AbstractMesh(
        (1,),
        ("device",),
        axis_types=(jax.sharding.AxisType.Auto,),
        abstract_device=jax.sharding.AbstractDevice(
            platform="tpu", device_kind="TPU v5 lite", num_cores=1
        ),
    )
    with jax.sharding.use_abstract_mesh(mesh), choices() as found:
        jax.eval_shape(gated_recurrence, half, half)
    assert found[0].form == "xla" and "float16" in found[0].why


def test_costs_count_arrays():
    shape = (8, 2048, 1024)
    elements = 8 * 2048 * 1024
    forward, backward = cost.forward(shape), cost.backward(shape)
    assert forward.macs == elements and backward.macs == 2 * elements
    assert forward.bytes_moved == 12 * elements + 4 * 8 * 1024
    assert backward.bytes_moved == 20 * elements + 8 * 8 * 1024
    assert cost.forward(shape, passes=2).bytes_moved - forward.bytes_moved == 8 * elements
    half = cost.forward(shape, decay_size=4, size=2)
    assert half.bytes_moved == 8 * elements + 4 * 8 * 1024


@given(
    length=st.integers(1, 5000), most=st.sampled_from([32, 256, 512]), unit=st.sampled_from([8, 16])
)
def test_tiles_add_less_than_one_unit_each(length, most, unit):
    size = padding.tile(length, most, unit)
    tiles = -(-length // size)
    assert size % unit == 0 and unit <= size <= most
    assert tiles == -(-length // most) and tiles * size - length < tiles * unit


def test_arrays_that_fit_are_not_copied():
    decay, x, _, _ = inputs((1, 32, 128))
    fit = padding.padded(decay, x, steps=16, lanes=128)
    assert fit.decay is decay and fit.arrays[0] is x


def test_it_is_public():
    assert kernels_pallas.gated_recurrence is gated_recurrence
