"""Blocks of a grouped convolution and a pointwise MLP against float64, in every form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import dispatch
from kernels_pallas.conv2d.window import window
from kernels_pallas.conv_blocks import (
    OPS,
    BlockWeights,
    convfirst_block,
    cost,
    folded,
    mbconv_block,
    mosaic_tpu,
)
from kernels_pallas.conv_blocks.cases import cases
from tests.kernels_pallas.test_grouped_conv2d import by_hand, error

BLOCKS = {"convfirst_block": convfirst_block, "mbconv_block": mbconv_block}
FORMS = {
    "reference": {"implementation": "reference"},
    "xla": {"implementation": "xla"},
    "mosaic_tpu": {"implementation": "mosaic_tpu", "interpret": True},
}


def made(op, x_shape, hidden, width, outputs=None, taps=(3, 3), dtype=np.float32, seed=0):
    """A picture, weights, and the number of groups."""
    numbers = np.random.default_rng(seed)
    inputs = x_shape[3]
    channels = inputs if op == "convfirst_block" else hidden
    shapes = [
        (*taps, width, channels),
        (inputs, hidden),
        (hidden, outputs or inputs),
    ]
    weights = []
    for shape in shapes:
        weights.append(numbers.standard_normal(shape) / np.sqrt(np.prod(shape[:-1])))
        weights.append(0.5 * numbers.standard_normal(shape[-1]))
    arrays = [jnp.asarray(one, dtype) for one in (numbers.standard_normal(x_shape), *weights)]
    return arrays[0], BlockWeights(*arrays[1:]), channels // width


def exact(op, x, weights, groups, strides=(1, 1), padding=((1, 1), (1, 1))):
    """Float64, layer by layer: shares no code with the package."""
    x, w = np.asarray(x, np.float64), [np.asarray(one, np.float64) for one in weights]

    def act(z):
        return z / (1 + np.exp(-z))

    if op == "convfirst_block":
        z = by_hand(x, w[0], groups, strides, padding) + w[1]
        out = act(z @ w[2] + w[3]) @ w[4] + w[5]
    else:
        hidden = act(x @ w[2] + w[3])
        out = act(by_hand(hidden, w[0], groups, strides, padding) + w[1]) @ w[4] + w[5]
    return out + x if out.shape == x.shape and strides == (1, 1) else out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", BLOCKS)
@pytest.mark.parametrize(("width", "outputs"), [(1, None), (4, 12)])
def test_every_form_computes_the_block(op, form, width, outputs):
    x, weights, groups = made(op, (2, 5, 6, 8), 16, width, outputs)
    block = jax.jit(functools.partial(BLOCKS[op], groups=groups, **FORMS[form]))
    assert error(block(x, weights), exact(op, x, weights, groups)) < 2e-5


@pytest.mark.parametrize("op", BLOCKS)
def test_the_kernel_over_blocks_of_rows_and_of_hidden_channels(monkeypatch, op):
    x, weights, groups = made(op, (1, 9, 7, 8), 160, 1, taps=(5, 5))
    place = window((9, 7), (5, 5), 1, 2)
    while mosaic_tpu._block(op, x, weights, place) > 4:
        monkeypatch.setattr(mosaic_tpu, "MEMORY", int(mosaic_tpu.MEMORY * 0.97))
    block = functools.partial(BLOCKS[op], groups=groups, **FORMS["mosaic_tpu"])
    wanted = exact(op, x, weights, groups, padding=((2, 2), (2, 2)))
    assert error(jax.jit(block)(x, weights), wanted) < 2e-5


@pytest.mark.parametrize("op", BLOCKS)
def test_half_precision_is_summed_wider(op):
    x, weights, groups = made(op, (1, 6, 6, 16), 32, 8, dtype=jnp.bfloat16)
    wanted = exact(op, x, weights, groups)
    for form in FORMS:
        found = jax.jit(functools.partial(BLOCKS[op], groups=groups, **FORMS[form]))(x, weights)
        assert found.dtype == jnp.bfloat16
        assert error(found, wanted) < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("op", BLOCKS)
def test_gradients_to_folded_weights_are_those_of_the_definition(op):
    x, weights, groups = made(op, (1, 5, 5, 8), 16, 1)

    def total(x, weights, options):
        return jnp.sum(jnp.sin(BLOCKS[op](x, weights, groups=groups, **options)))

    def gradients(form):
        return jax.jit(jax.grad(functools.partial(total, options=FORMS[form]), (0, 1)))(x, weights)

    wanted = jax.tree.leaves(gradients("reference"))
    for one, other in zip(jax.tree.leaves(gradients("mosaic_tpu")), wanted, strict=True):
        assert error(one, np.asarray(other)) < 5e-5


@pytest.mark.parametrize("op", BLOCKS)
def test_at_a_stride_nothing_is_added_and_the_kernel_says_no(op):
    x, weights, groups = made(op, (1, 6, 6, 8), 8, 1)
    found = BLOCKS[op](x, weights, groups=groups, strides=2, padding=1)
    assert error(found, exact(op, x, weights, groups, strides=(2, 2))) < 2e-5
    with pytest.raises(ValueError, match=f"{op}: .*strides of 1, not"):
        BLOCKS[op](x, weights, groups=groups, strides=2, **FORMS["mosaic_tpu"])


def test_batch_norm_folds_into_the_layer_before_it():
    numbers = np.random.default_rng(0)
    x, weight = (jnp.asarray(numbers.standard_normal(s), jnp.float32) for s in ((5, 4), (4, 3)))
    norm = {
        name: jnp.asarray(numbers.uniform(0.5, 2, 3), jnp.float32)
        for name in ("scale", "bias", "mean", "variance")
    }
    inner, shift = folded(weight, **norm, epsilon=1e-3)
    z = np.asarray(x, np.float64) @ np.asarray(weight, np.float64)
    n = {name: np.asarray(one, np.float64) for name, one in norm.items()}
    wanted = (z - n["mean"]) / np.sqrt(n["variance"] + 1e-3) * n["scale"] + n["bias"]
    assert error(x @ inner + shift[None], wanted) < 1e-5


@pytest.mark.parametrize("op", BLOCKS)
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"groups": 3}, r"groups=3; needed \d+ / 2 for kernel"),
        ({}, {"activation": "tanh"}, "activation='tanh'; choose one of"),
        ({"expand_bias": jnp.zeros(5)}, {}, r"expand_bias has shape \(5,\); needed \[16\]"),
        ({"expand": jnp.zeros((7, 16))}, {}, "expand has shape"),
        ({}, {"strides": 0}, "strides=0; needed"),
        ({}, {"implementation": "pallas"}, "implementation='pallas' cannot run on cpu"),
    ],
)
def test_what_does_not_fit_is_named(op, change, options, message):
    x, weights, groups = made(op, (1, 4, 4, 8), 16, 2)
    with pytest.raises(ValueError, match=f"{op}: {message}"):
        BLOCKS[op](x, weights._replace(**change), **{"groups": groups, **options})


@pytest.mark.parametrize("op", BLOCKS)
def test_one_kernel_moves_what_goes_in_and_out(op):
    x, weights, _ = made(op, (2, 8, 8, 16), 64, 8)
    place = window((8, 8), (3, 3), 1, 1)
    formula = getattr(cost, op)
    fused = formula(x.shape, weights, window=place)
    pixels, conv_channels = 2 * 64, weights.kernel.shape[3]
    assert fused.macs == pixels * (9 * 8 * conv_channels + 2 * 16 * 64)
    numbers = sum(one.size for one in weights)
    assert fused.bytes_moved == 4 * (2 * x.size + numbers)
    serial = formula(x.shape, weights, window=place, fused=False)
    between = pixels * ((16 + 64) if op == "convfirst_block" else 2 * 64)
    assert serial.macs == fused.macs
    assert serial.bytes_moved - fused.bytes_moved == 4 * (2 * between + x.size)


@pytest.mark.parametrize("op", BLOCKS)
def test_every_form_is_counted_alike(op):
    from workbench.measure.macs import count

    x, weights, groups = made(op, (1, 8, 8, 16), 32, 8)
    wanted = getattr(cost, op)(x.shape, weights, window=window((8, 8), (3, 3), 1, 1)).macs
    for form in ("xla", "mosaic_tpu"):
        found = count(functools.partial(BLOCKS[op], groups=groups, **FORMS[form]), x, weights)
        assert found.total == wanted


def test_accelerators_keep_xlas_own_until_the_kernel_is_asked_for():
    x, weights, groups = made("mbconv_block", (1, 6, 6, 8), 16, 1)
    target = dispatch.target_named("tpu", "TPU v5 lite")
    leaves, tree = jax.tree.flatten((x, weights))

    def run(*arrays, **options):
        return mbconv_block(*jax.tree.unflatten(tree, arrays), groups=groups, **options)

    assert dispatch.first_choice(run, *leaves, target=target).form == "xla"
    asked = functools.partial(run, implementation="pallas")
    assert dispatch.first_choice(asked, *leaves, target=target).form == "mosaic_tpu"


def test_cases_cover_both_blocks_and_directions():
    found = list(cases())
    assert {(case.op, case.direction) for case in found} == {
        (op, direction) for op in OPS for direction in ("forward", "backward")
    }
