"""What gated linear attention accepts, what it says of the rest, and what it costs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import checkify

from kernels_pallas import dispatch, gated_linear_attention, gated_linear_attention_step
from kernels_pallas.gated_linear_attention import cost, factored, schemes, xla
from workbench.measure import macs

SIZES = {"B": 2, "T": 8, "H": 4, "G": 2, "K": 16, "V": 24}
PATTERNS = {
    "q": "BTHK", "k": "BTGK", "v": "BTGV", "log_decay": "BTHK", "initial_state": "BHKV",
    "segment_ids": "BT",
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


def call(options=None, op=gated_linear_attention, **arrays):
    return jax.eval_shape(functools.partial(op, **(options or {})), **arrays)


def test_what_fits_is_accepted():
    out, state = call(**abstract())
    assert out.shape == (2, 8, 4, 24) and out.dtype == jnp.float32
    assert state.shape == (2, 4, 16, 24) and state.dtype == jnp.float32


BAD = {
    "rank": ({"q": (2, 8, 64)}, r"q has shape \(2, 8, 64\); needed \[B, T, H, K\]"),
    "keys": ({"k": (2, 8, 2, 8)}, r"k has shape \(2, 8, 2, 8\); needed \[2, 8, G, 16\]"),
    "time": ({"v": (2, 9, 2, 24)}, r"v has shape .*needed \[2, 8, 2, V\]"),
    "heads": ({"k": (2, 8, 3, 16), "v": (2, 8, 3, 24)}, "4 query heads .* 3 heads of k and v"),
    "no tokens": ({"q": (2, 0, 4, 16)}, "q has shape .* no axis may be empty"),
    "gate": ({"log_decay": (2, 8, 4, 8)}, r"log_decay has shape .*\[2, 8, 4, 16\]"),
    "gate's rank": ({"log_decay": (8, 4)}, r"log_decay .*\[B, T, H, K\] or .* or \[H\]"),
    "gate's heads": ({"log_decay": (2, 8, 3)}, r"log_decay .*needed \[2, 8, 4\]"),
    "state": ({"initial_state": (2, 4, 24, 16)}, r"initial_state .*\[2, 4, 16, 24\]"),
    "segments": ({"segment_ids": (2, 9)}, r"segment_ids .*needed \[2, 8\]"),
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
    with pytest.raises(TypeError, match=f"gated_linear_attention: {name} has dtype"):
        call(**abstract(**{name: changed}))


def test_dtypes_are_alike_and_states_float32():
    half = shaped((2, 8, 2, 16), jnp.bfloat16)
    with pytest.raises(TypeError, match="k has dtype bfloat16 but q has float32"):
        call(**abstract(k=half))
    with pytest.raises(TypeError, match="initial_state has dtype bfloat16; needed float32"):
        call(**abstract(initial_state=shaped((2, 4, 16, 24), jnp.bfloat16)))


@pytest.mark.parametrize(
    "options, words",
    [({"chunk_size": 48}, "chunk_size=48; choose one of"), ({"intra": "exact"}, "intra='exact'"),
     ({"implementation": "triton"}, "implementation='triton' does not exist")],
)  # fmt: skip
def test_options_that_do_not_exist(options, words):
    with pytest.raises(ValueError, match=words):
        call(options, **abstract())


def test_pallas_does_not_run_on_a_cpu():
    with pytest.raises(ValueError, match="cannot run on cpu"):
        call({"implementation": "pallas"}, **abstract())


def test_what_was_chosen_can_be_asked():
    (choice,) = dispatch.chosen(gated_linear_attention, **abstract())
    assert (choice.op, choice.form) == ("gated_linear_attention", "xla")


def test_the_step_says_what_does_not_fit():
    arrays = {"q": shaped((2, 4, 16)), "k": shaped((2, 2, 16)), "v": shaped((2, 2, 24)),
              "log_decay": shaped((2, 4)), "state": shaped((2, 4, 16, 24))}  # fmt: skip
    out, state = call(op=gated_linear_attention_step, **arrays)
    assert (out.shape, state.shape) == ((2, 4, 24), (2, 4, 16, 24))
    wrong = {"q": (2, 1, 4, 16), "k": (2, 2, 8), "v": (2, 3, 24), "log_decay": (2, 4, 8),
             "state": (2, 4, 16, 8)}  # fmt: skip
    for name, shape in wrong.items():
        with pytest.raises(ValueError, match=f"gated_linear_attention_step: {name} has"):
            call(op=gated_linear_attention_step, **arrays | {name: shaped(shape)})


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_gates_that_grow_are_refused_where_they_are_known(value):
    arrays = {name: jnp.zeros(array.shape, array.dtype) for name, array in abstract().items()}
    arrays["log_decay"] = arrays["log_decay"].at[1, 3, 2, 5].set(value)
    with pytest.raises(ValueError, match="log_decay has positive or NaN values"):
        gated_linear_attention(**arrays)


def test_validate_looks_at_traced_gates():
    arrays = {name: jnp.zeros(array.shape, array.dtype) for name, array in abstract().items()}
    checked = jax.jit(checkify.checkify(functools.partial(
        gated_linear_attention, validate=True, implementation="reference")))  # fmt: skip
    error, _ = checked(**arrays)
    error.throw()
    arrays["log_decay"] = arrays["log_decay"].at[0].set(jnp.nan)
    error, _ = checked(**arrays)
    with pytest.raises(Exception, match="log_decay has positive or NaN values"):
        error.throw()


@settings(deadline=None, max_examples=12)
@given(
    sizes=st.fixed_dictionaries({
        "B": st.integers(1, 3), "T": st.integers(1, 300), "G": st.integers(1, 3),
        "K": st.integers(1, 40), "V": st.integers(1, 40),
    }),
    share=st.integers(1, 3),
    gate=st.sampled_from(["BTHK", "BTH", "BTGK", "BTG", "H", "G", None]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16, jnp.float16]),
    gate_dtype=st.sampled_from([jnp.float32, jnp.bfloat16]),
    chunk_size=st.sampled_from([16, 32, 64, 128]),
)  # fmt: skip
def test_every_shape_and_dtype_that_is_allowed(sizes, share, gate, dtype, gate_dtype, chunk_size):
    sizes["H"] = sizes["G"] * share

    def of(axes, dtype):
        return shaped((sizes[axis] for axis in axes), dtype)

    arrays = [of("BTHK", dtype), of("BTGK", dtype), of("BTGV", dtype)]
    if gate is not None:
        arrays.append(of(gate, gate_dtype))

    def both(*arrays):
        op = functools.partial(gated_linear_attention, chunk_size=chunk_size)
        (out, final), pull = jax.vjp(op, *arrays)
        return out, final, pull((out, final))

    out, final, gradients = jax.eval_shape(both, *arrays)
    assert (out.shape, out.dtype) == (of("BTHV", dtype).shape, dtype)
    assert (final.shape, final.dtype) == (of("BHKV", dtype).shape, jnp.float32)
    for array, gradient in zip(arrays, gradients, strict=True):
        assert (array.shape, array.dtype) == (gradient.shape, gradient.dtype)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(sorted(PATTERNS)),
    axis=st.integers(0, 3),
    size=st.sampled_from([0, 1, 3, 5, 7]),
)
def test_a_wrong_axis_is_named(name, axis, size):
    array = abstract()[name]
    shape = list(array.shape)
    shape[axis % len(shape)] = size
    with pytest.raises(ValueError, match="gated_linear_attention: "):
        call(**abstract(**{name: array.update(shape=tuple(shape))}))


SCHEMES = {"none": None, "masked": "bth", "one_level": "bthk", "two_level": "bthk",
           "exact": "bthk"}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("time", [70, 9])
def test_cost_is_what_the_program_multiplies(scheme, time, monkeypatch):
    sizes = {"b": 2, "t": time, "h": 3, "k": 16}
    gates = SCHEMES[scheme] and shaped(sizes[axis] for axis in SCHEMES[scheme])
    q, v, state = shaped((2, time, 3, 16)), shaped((2, time, 3, 24)), shaped((2, 3, 16, 24))
    if scheme == "exact":
        monkeypatch.setattr(schemes, "OneLevel", factored.Exact)
    intra = scheme if scheme in ("one_level", "two_level") else "auto"
    options = {"scale": 1.0, "chunk_size": 64, "intra": intra}
    arrays = (q, q, v, gates, state, None)
    chunk = 32 if time > 16 else 16
    forward = macs.count(functools.partial(xla.forward, **options), *arrays)
    assert cost.forward(q.shape, 24, scheme=scheme, chunk=chunk).macs == forward.total
    backward = macs.count(functools.partial(xla.backward, **options), *arrays, v, state)
    assert cost.backward(q.shape, 24, scheme=scheme, chunk=chunk).macs == backward.total


def test_cost_counts_bytes_once():
    found = cost.forward((2, 64, 3, 16), 24, size=2, gate_size=4)
    rows = 2 * 64 * 3
    assert found.bytes_moved == rows * (2 * (16 + 24) * 2 + 16 * 4) + 2 * 3 * 16 * 24 * 8
    assert found.transcendentals == rows * 16
    step = cost.step((2, 3, 16), 24)
    counted = macs.count(
        gated_linear_attention_step, shaped((2, 3, 16)), shaped((2, 3, 16)), shaped((2, 3, 24)),
        shaped((2, 3, 16)), shaped((2, 3, 16, 24)),
    )  # fmt: skip
    assert step.macs == counted.total


def test_gates_that_are_constants_of_a_traced_function():
    q = jnp.ones((1, 6, 2, 4))
    gate = jnp.full((2,), -0.1)
    wanted, state = gated_linear_attention(q, q, q, gate)
    found, _ = jax.jit(lambda x: gated_linear_attention(x, x, x, gate))(q)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)

    def step(state, x):
        out, state = gated_linear_attention_step(x, x, x, gate, state)
        return state, out

    last, _ = jax.lax.scan(step, jnp.zeros((1, 2, 4, 4)), jnp.moveaxis(q, 1, 0))
    np.testing.assert_allclose(last, state, rtol=1e-5)


def test_a_step_tests_traced_gates_where_it_is_asked():
    q, state = jnp.ones((1, 2, 4)), jnp.zeros((1, 2, 4, 4))

    def step(gate):
        return gated_linear_attention_step(q, q, q, gate, state, validate=True)[0]

    error, _ = checkify.checkify(jax.jit(step))(jnp.ones((2,)))
    assert "log_decay has positive or NaN values" in error.get()
