"""Blocks as one op against float64 by hand, their gradients, costs, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import BlockWeights, convfirst_block, dispatch, mbconv_block
from kernels_pallas.conv2d.window import window
from kernels_pallas.convfirst_block import cases as conv_first_cases
from kernels_pallas.convfirst_block import cost as conv_first_cost
from kernels_pallas.mbconv_block import cases as mbconv_cases
from kernels_pallas.mbconv_block import cost as mbconv_cost
from tests.kernels_pallas.test_grouped_conv2d import by_hand, error

OPS = {"convfirst_block": convfirst_block, "mbconv_block": mbconv_block}
ACTS = {
    "silu": lambda v: v / (1 + np.exp(-v)),
    "relu": lambda v: np.maximum(v, 0),
    "relu6": lambda v: np.clip(v, 0, 6),
    "hard_swish": lambda v: v * np.clip(v + 3, 0, 6) / 6,
}


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def problem(
    op, pixels=(5, 6), channels=8, width=4, times=2, outputs=None, taps=3, dtype=np.float32, seed=0
):
    numbers = np.random.default_rng(seed)
    hidden, outputs = times * channels, outputs or channels
    spatial = channels if op == "convfirst_block" else hidden
    shapes = (
        (taps, taps, width, spatial), (spatial,), (channels, hidden), (hidden,), (hidden, outputs),
        (outputs,),
    )  # fmt: skip
    weights = [
        numbers.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]) if len(shape) > 1 else 4)
        for shape in shapes
    ]
    x = numbers.standard_normal((2, *pixels, channels))
    made = BlockWeights(*(jnp.asarray(one, dtype) for one in weights))
    return jnp.asarray(x, dtype), made, spatial // width


def wanted(op, x, weights, groups, activation="silu", strides=(1, 1), padding=((1, 1), (1, 1))):
    """In float64, from windows over padded arrays."""
    x, w = np.asarray(x, np.float64), BlockWeights(*(np.asarray(a, np.float64) for a in weights))
    act = ACTS[activation]
    if op == "convfirst_block":
        z = by_hand(x, w.kernel, groups, strides, padding) + w.bias
        hidden = act(z @ w.expand + w.expand_bias)
    else:
        hidden = act(x @ w.expand + w.expand_bias)
        hidden = act(by_hand(hidden, w.kernel, groups, strides, padding) + w.bias)
    y = hidden @ w.project + w.project_bias
    return y + x if y.shape == x.shape else y


def compiled(op, **options):
    return jax.jit(functools.partial(OPS[op], **options))


both = pytest.mark.parametrize("op", OPS)


@both
@pytest.mark.parametrize("form", ["reference", "xla"])
@pytest.mark.parametrize("activation", ["silu", "relu6"])
def test_both_forms_compute_the_block(op, form, activation):
    x, weights, groups = problem(op)
    found = compiled(op, groups=groups, activation=activation, implementation=form)(x, weights)
    assert found.dtype == x.dtype
    assert error(found, wanted(op, x, weights, groups, activation)) < 2e-5


@both
def test_stride_two_and_other_channels_have_no_residual(op):
    x, weights, groups = problem(op, outputs=12)
    options = {"groups": groups, "strides": 2, "padding": 1, "activation": "hard_swish"}
    found = compiled(op, **options)(x, weights)
    assert found.shape == (2, 3, 3, 12)
    assert error(found, wanted(op, x, weights, groups, "hard_swish", (2, 2))) < 2e-5


@both
def test_the_residual_can_be_left_out(op):
    x, weights, groups = problem(op)
    run = functools.partial(OPS[op], groups=groups)
    without = run(x, weights, residual=False)
    assert error(run(x, weights) - without, np.asarray(x, np.float64)) < 1e-5


@settings(max_examples=4, deadline=None)
@given(
    op=st.sampled_from(list(OPS)),
    pixels=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    width=st.sampled_from([1, 2, 4]),
    taps=st.sampled_from([1, 3, 5]),
    activation=st.sampled_from(list(ACTS)),
    dtype=st.sampled_from([np.float32, jnp.bfloat16]),
)
def test_any_size_width_activation_and_type(op, pixels, width, taps, activation, dtype):
    x, weights, groups = problem(op, pixels, 4, width, 3, taps=taps, dtype=dtype)
    found = compiled(op, groups=groups, activation=activation)(x, weights)
    rounding = 2e-5 if dtype == np.float32 else 4 * float(jnp.finfo(dtype).eps)
    around = (taps // 2, taps // 2)
    answer = wanted(op, x, weights, groups, activation, padding=(around, around))
    assert found.dtype == dtype and error(found, answer) < rounding * (1 + np.abs(answer).max())


@both
def test_gradients_are_those_of_the_definition_in_float64(op):
    with jax.enable_x64(True):
        x, weights, groups = problem(op, (3, 4), 4, 2, dtype=np.float64)

        def total(form, x, weights):
            out = OPS[op](x, weights, groups=groups, implementation=form)
            return jnp.sum(jnp.sin(out))

        found, other = (
            jax.tree.leaves(jax.jit(jax.grad(functools.partial(total, form), (0, 1)))(x, weights))
            for form in ("xla", "reference")
        )
        assert len(found) == 7
        for one, right in zip(found, other, strict=True):
            assert one.dtype == jnp.float64 and error(one, np.asarray(right)) < 1e-11


@both
def test_nothing_between_is_kept_for_the_gradients(op):
    x, weights, groups = problem(op)
    run = functools.partial(OPS[op], groups=groups)
    _, back = jax.vjp(run, x, weights)
    kept = sorted(leaf.shape for leaf in jax.tree.leaves(back) if hasattr(leaf, "shape"))
    assert kept == sorted(leaf.shape for leaf in jax.tree.leaves((x, weights)))


# Operational intensity of a block with groups of eight and four times the channels, at fp16 and a
# batch of 128: layer by layer, and as one op.
INTENSITY = {
    (56, 64): (44.9, 292),
    (28, 128): (84.2, 545),
    (14, 256): (162, 1017),
    (7, 512): (305, 1564),
}


@pytest.mark.parametrize("stage", INTENSITY)
def test_bytes_of_a_conv_first_block_layer_by_layer_and_as_one(stage):
    pixels, channels = stage
    place = window((pixels, pixels), (3, 3), 1, 1)
    shape, kernel = (128, pixels, pixels, channels), (3, 3, 8, channels)
    found = [
        conv_first_cost.cost(
            shape, kernel, 4 * channels, channels, window=place, itemsize=2, fused=fused
        )
        for fused in (False, True)
    ]
    assert found[0].macs == found[1].macs == 128 * pixels**2 * channels * (72 + 8 * channels)
    intensity = [2 * one.macs / one.bytes_moved for one in found]
    assert intensity == pytest.approx(INTENSITY[stage], rel=4e-3)


def test_costs_of_an_inverted_residual():
    place = window((14, 14), (3, 3), 1, 1)
    one, whole = (
        mbconv_cost.cost((1, 14, 14, 16), (3, 3, 8, 64), 64, 16, window=place, fused=fused)
        for fused in (False, True)
    )
    assert one.macs == whole.macs == 196 * (16 * 64 + 72 * 64 + 64 * 16)
    weights = 16 * 64 + 72 * 64 + 64 * 16
    assert whole.bytes_moved == 4 * (2 * 196 * 16 + weights)
    assert one.bytes_moved == 4 * (196 * (3 * 16 + 4 * 64) + weights)
    assert one.transcendentals == 2 * 196 * 64


@both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups=0; needed a whole number from 1 on"),
        ({"groups": 3}, "channels of the spatial convolution cannot share 3 groups"),
        ({"activation": "gelu"}, "activation='gelu'; choose one of"),
        ({"strides": 2, "residual": True}, "residual=True, but the result is not of the shape"),
        ({"implementation": "pallas"}, "implementation='pallas' cannot run on cpu"),
        ({"implementation": "triton"}, "implementation='triton' does not exist"),
    ],
)
def test_what_does_not_fit_is_named(op, options, message):
    x, weights, groups = problem(op)
    with pytest.raises(ValueError, match=f"{op}: .*{message}"):
        OPS[op](x, weights, **{"groups": groups, **options})


@both
def test_arrays_that_do_not_fit_are_named(op):
    x, weights, groups = problem(op)
    run = functools.partial(OPS[op], groups=groups)
    with pytest.raises(TypeError, match=f"{op}: weights is of type tuple; needed BlockWeights"):
        run(x, tuple(weights))
    with pytest.raises(ValueError, match=r"expand_bias has shape \(3,\); needed \[16\]"):
        run(x, weights._replace(expand_bias=weights.expand_bias[:3]))
    with pytest.raises(TypeError, match="kernel has dtype bfloat16 but x has float32"):
        run(x, weights._replace(kernel=weights.kernel.astype(jnp.bfloat16)))


@both
def test_accelerators_keep_the_layers_until_the_kernel_is_asked_for(op):
    x, weights, groups = problem(op)
    run = functools.partial(OPS[op], groups=groups)
    target = dispatch.target_named("tpu", "TPU v5 lite")
    made = dispatch.first_choice(run, x, weights, target=target)
    assert made.form == "xla" and "has not been timed" in made.why
    asked = functools.partial(run, implementation="pallas")
    assert dispatch.first_choice(asked, x, weights, target=target).form == "mosaic_tpu"


def test_cases_are_every_stage_and_both_kinds_of_groups():
    first, inverted = list(conv_first_cases.cases()), list(mbconv_cases.cases())
    assert {case.arrays[0].shape[1] for case in first} == {56, 28, 14, 7}
    assert {case.arrays[0].shape[1] for case in inverted} == {56, 28, 14}
    assert {case.arrays[1].shape[2] for case in inverted} == {1, 8}
