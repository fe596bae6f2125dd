"""What the gated delta rule accepts, what it says of the rest, and what it costs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import checkify

from kernels_pallas import dispatch, gated_delta_rule, gated_delta_rule_step
from kernels_pallas.gated_delta_rule import cost, xla
from workbench.measure import macs

SIZES = {"B": 2, "T": 8, "H": 4, "G": 2, "K": 16, "V": 24}
PATTERNS = {
    "q": "BTHK", "k": "BTGK", "v": "BTGV", "beta": "BTH", "log_decay": "BTG",
    "initial_state": "BHKV", "segment_ids": "BT",
}  # fmt: skip
WHOLE = ("segment_ids",)


def shaped(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(tuple(shape), dtype)


def abstract(**changes):
    """Arguments of a call that fits, as shapes, with some of them changed."""
    found = {
        name: shaped((SIZES[axis] for axis in axes), jnp.int32 if name in WHOLE else jnp.float32)
        for name, axes in PATTERNS.items()
    }
    return found | changes


def call(options=None, op=gated_delta_rule, **arrays):
    return jax.eval_shape(functools.partial(op, **(options or {})), **arrays)


BAD = {
    "rank": ({"q": (2, 8, 64)}, r"q has shape \(2, 8, 64\); needed \[B, T, H, K\]"),
    "keys": ({"k": (2, 8, 2, 8)}, r"k has shape \(2, 8, 2, 8\); needed \[2, 8, G, 16\]"),
    "heads": ({"k": (2, 8, 3, 16), "v": (2, 8, 3, 24)}, "4 query heads .* 3 heads of k and v"),
    "no tokens": ({"q": (2, 0, 4, 16)}, "q has shape .* no axis may be empty"),
    "strength's rank": ({"beta": (2, 8, 4, 1)}, r"beta has shape .*needed \[B, T, H\]"),
    "strength's heads": ({"beta": (2, 8, 3)}, r"beta has shape .*needed \[2, 8, 4\]"),
    "gate per channel": ({"log_decay": (2, 8, 4, 16)}, r"log_decay .*needed \[B, T, H\]"),
    "gate's heads": ({"log_decay": (2, 8, 3)}, r"log_decay .*needed \[2, 8, 4\]"),
    "state": ({"initial_state": (2, 4, 24, 16)}, r"initial_state .*\[2, 4, 16, 24\]"),
    "segments": ({"segment_ids": (2, 9)}, r"gated_delta_rule: segment_ids .*needed \[2, 8\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_shapes_that_do_not_fit(case):
    shapes, words = BAD[case]
    changed = {
        name: shaped(shape, jnp.int32 if name in WHOLE else jnp.float32)
        for name, shape in shapes.items()
    }
    with pytest.raises(ValueError, match=words):
        call(**abstract(**changed))


@pytest.mark.parametrize("name", PATTERNS)
def test_dtypes_that_do_not_fit(name):
    wrong = jnp.float32 if name in WHOLE else jnp.int32
    changed = abstract()[name].update(dtype=wrong)
    with pytest.raises(TypeError, match=f"gated_delta_rule: {name} has dtype"):
        call(**abstract(**{name: changed}))


@pytest.mark.parametrize(
    "options, words",
    [({"chunk_size": 48}, "chunk_size=48; choose one of"),
     ({"implementation": "triton"}, "implementation='triton' does not exist"),
     ({"implementation": "pallas"}, "cannot run on cpu")],
)  # fmt: skip
def test_options_that_do_not_exist(options, words):
    with pytest.raises(ValueError, match=words):
        call(options, **abstract())


@pytest.mark.parametrize(
    "target, form",
    [(dispatch.Target("cpu", "cpu"), "xla"),
     (dispatch.Target("gpu", "NVIDIA H100", (9, 0)), "xla"),
     (dispatch.Target("tpu", "TPU v5 lite"), "mosaic_tpu")],
)  # fmt: skip
def test_what_runs_where_can_be_asked(target, form):
    names, arrays = zip(*abstract().items(), strict=True)

    def function(*given):
        return gated_delta_rule(**dict(zip(names, given, strict=True)))

    choice = dispatch.first_choice(function, *arrays, target=target)
    assert (choice.op, choice.form) == ("gated_delta_rule", form)
    assert "no mosaic_gpu form" in choice.why or target.platform != "gpu"


def test_the_step_says_what_does_not_fit():
    arrays = {"q": shaped((2, 4, 16)), "k": shaped((2, 2, 16)), "v": shaped((2, 2, 24)),
              "beta": shaped((2, 4)), "log_decay": shaped((2, 2)),
              "state": shaped((2, 4, 16, 24))}  # fmt: skip
    out, state = call(op=gated_delta_rule_step, **arrays)
    assert (out.shape, state.shape) == ((2, 4, 24), (2, 4, 16, 24))
    wrong = {"q": (2, 1, 4, 16), "k": (2, 2, 8), "v": (2, 3, 24), "beta": (4,),
             "log_decay": (2, 4, 8), "state": (2, 4, 16, 8)}  # fmt: skip
    for name, shape in wrong.items():
        with pytest.raises(ValueError, match=f"gated_delta_rule_step: {name} has"):
            call(op=gated_delta_rule_step, **arrays | {name: shaped(shape)})


@pytest.mark.parametrize(
    "name, value, words",
    [("beta", -0.1, "beta has values outside 0 to 2"), ("beta", 2.1, "beta has values outside"),
     ("beta", np.nan, "beta has values"), ("log_decay", 0.5, "log_decay has positive or NaN"),
     ("log_decay", np.nan, "log_decay has positive or NaN")],
)  # fmt: skip
def test_values_out_of_bounds_are_refused_where_they_are_known(name, value, words):
    arrays = {name: jnp.zeros(array.shape, array.dtype) for name, array in abstract().items()}
    arrays[name] = arrays[name].at[1, 3, 1].set(value)
    with pytest.raises(ValueError, match=words):
        gated_delta_rule(**arrays)


def test_validate_looks_at_traced_values():
    q, state = jnp.ones((1, 2, 4)), jnp.zeros((1, 2, 4, 4))

    def step(beta, gate):
        return gated_delta_rule_step(q, q, q, beta, gate, state, validate=True)[0]

    checked = checkify.checkify(jax.jit(step))
    error, _ = checked(jnp.full((1, 2), 3.0), jnp.zeros((1, 2)))
    assert "beta has values outside" in error.get()
    error, _ = checked(jnp.ones((1, 2)), jnp.ones((1, 2)))
    assert "log_decay has positive" in error.get()


@settings(deadline=None, max_examples=10)
@given(
    sizes=st.fixed_dictionaries({
        "B": st.integers(1, 3), "T": st.integers(1, 300), "G": st.integers(1, 3),
        "K": st.integers(1, 40), "V": st.integers(1, 40),
    }),
    share=st.integers(1, 3),
    of_each=st.sampled_from([("BTH", "BTG"), ("BTG", "BTH"), ("BTH", None)]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16, jnp.float16]),
    gate_dtype=st.sampled_from([jnp.float32, jnp.bfloat16]),
    chunk_size=st.sampled_from([16, 32, 64, 128]),
)  # fmt: skip
def test_every_shape_and_dtype_that_is_allowed(
    sizes, share, of_each, dtype, gate_dtype, chunk_size
):
    sizes["H"] = sizes["G"] * share

    def of(axes, dtype):
        return shaped((sizes[axis] for axis in axes), dtype)

    arrays = [of("BTHK", dtype), of("BTGK", dtype), of("BTGV", dtype)]
    arrays += [of(axes, gate_dtype) for axes in of_each if axes]

    def both(*arrays):
        (out, final), pull = jax.vjp(
            functools.partial(gated_delta_rule, chunk_size=chunk_size), *arrays
        )
        return out, final, pull((out, final))

    out, final, gradients = jax.eval_shape(both, *arrays)
    assert (out.shape, out.dtype) == (of("BTHV", dtype).shape, dtype)
    assert (final.shape, final.dtype) == (of("BHKV", dtype).shape, jnp.float32)
    for array, gradient in zip(arrays, gradients, strict=True):
        assert (array.shape, array.dtype) == (gradient.shape, gradient.dtype)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("time", [70, 9])
def test_cost_is_what_the_program_multiplies(gated, time):
    q, v, beta = shaped((2, time, 3, 16)), shaped((2, time, 3, 24)), shaped((2, time, 3))
    state = shaped((2, 3, 16, 24))
    arrays = (q, q, v, beta, beta if gated else None, state, None)
    options = {"scale": 1.0, "chunk_size": 64}
    sizes = {"gated": gated, "chunk": 32 if time > 16 else 16}
    forward = macs.count(functools.partial(xla.forward, **options), *arrays)
    assert cost.forward(q.shape, 24, **sizes).macs == forward.total
    backward = macs.count(functools.partial(xla.backward, **options), *arrays, v, state)
    assert cost.backward(q.shape, 24, **sizes).macs == backward.total


def test_cost_counts_bytes_once_and_the_step():
    found = cost.forward((2, 64, 3, 16), 24, size=2, gate_size=4)
    rows = 2 * 64 * 3
    assert found.bytes_moved == rows * (2 * (16 + 24) * 2 + 2 * 4) + 2 * 3 * 16 * 24 * 8
    step = cost.step((2, 3, 16), 24)
    counted = macs.count(
        gated_delta_rule_step, shaped((2, 3, 16)), shaped((2, 3, 16)), shaped((2, 3, 24)),
        shaped((2, 3)), shaped((2, 3)), shaped((2, 3, 16, 24)),
    )  # fmt: skip
    assert step.macs == counted.total
