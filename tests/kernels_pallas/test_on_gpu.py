"""Hopper's kernels on the device itself, against float64: `make test-gpu` where there is one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import (
    attention,
    convfirst_block,
    dispatch,
    pack_ternary,
    rms_norm_quantize,
    ternary_matmul_int32,
)
from tests.kernels_pallas import recurrence_oracle, ternary_oracle
from tests.kernels_pallas.gla_oracle import both_ways, draw, errors, here
from tests.kernels_pallas.test_attention import by_hand, qkv
from tests.kernels_pallas.test_fused_blocks import problem, wanted

pytestmark = pytest.mark.skipif(
    dispatch.current_target().pallas(wgmma=True) != "mosaic_gpu",
    reason="no Hopper GPU here, or JAX_PLATFORMS does not name it",
)
LIMIT = 1e-2
"""max|x - ref| / max|ref| in bfloat16."""
STEP = float(jnp.finfo(jnp.bfloat16).eps)


def wide(**sizes):
    return {"dtype": jnp.bfloat16, "batch": 2, "heads": 2, "key": 128, "value": 256} | sizes


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(wide(time=300, strength="mild", segments=True), id="mild"),
        pytest.param(wide(time=300, strength="strong", groups=1), id="strong"),
        pytest.param(wide(time=130, strength="resets", segments=True), id="resets"),
        pytest.param(wide(time=2048, strength="mild", key=256, value=512), id="long"),
        pytest.param(wide(time=300, kind="scalar", segments=True), id="scalar"),
        pytest.param(wide(time=300, kind="head"), id="head"),
        pytest.param(wide(time=300, kind="none", segments=True), id="none"),
        pytest.param(wide(time=70, key=64, value=64, heads=1), id="narrow"),
    ],
)
def test_gated_linear_attention(given):
    given = draw(**given)
    found = both_ways(*here(given), implementation="mosaic_gpu")
    again = both_ways(*here(given), implementation="mosaic_gpu")
    for name, size in errors(given, found).items():
        assert size <= LIMIT, f"{name}: {size}"
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "dtype", "strength"),
    [
        ((2, 300, 130), "float32", "any sign"),
        ((1, 5000, 128), "bfloat16", "strong"),
        ((8, 2048, 1024), "bfloat16", "mild"),
        ((3, 8, 5), "float32", "closed"),
        ((1, 1, 1), "float32", "mild"),
    ],
)
def test_gated_recurrence(shape, dtype, strength, reverse):
    arrays = recurrence_oracle.inputs(shape, dtype, strength)
    recurrence_oracle.assert_close(arrays, reverse=reverse, implementation="mosaic_gpu")


@pytest.mark.parametrize(("rows", "shape"), [(1, (128, 5)), (9, (2048, 2048)), (300, (2816, 1030))])
def test_ternary_products_are_exact(rows, shape):
    x, w = ternary_oracle.activations(rows, shape[0]), ternary_oracle.weights(*shape)
    packed = pack_ternary(jnp.asarray(w), layout="columns")
    found = ternary_matmul_int32(jnp.asarray(x), packed, implementation="mosaic_gpu")
    np.testing.assert_array_equal(found, ternary_oracle.product(x, w))


@pytest.mark.parametrize("shape", [(1, 128), (70, 2048), (8192, 2816)])
def test_norm_is_quantised(shape):
    numbers = np.random.default_rng(0)
    x = jnp.asarray(numbers.standard_normal(shape), jnp.bfloat16)
    gain = jnp.asarray(1 + numbers.standard_normal(shape[1]) / 8, jnp.bfloat16)
    codes, scale = rms_norm_quantize(x, gain, eps=1e-6, implementation="mosaic_gpu")
    y = ternary_oracle.normed(x, gain, 1e-6)
    ternary_oracle.assert_quantised(codes, scale, y, 1e-5)


@pytest.mark.parametrize("channels", [32, 64, 128, 256])
@pytest.mark.parametrize("width", [1, 8, 32])
def test_convfirst_block(channels, width):
    sizes = {"channels": channels, "outputs": channels, "width": width, "dtype": jnp.bfloat16}
    x, weights, groups = problem("convfirst_block", (28, 27), **sizes)
    answer = wanted("convfirst_block", x, weights, groups, "silu")
    run = functools.partial(convfirst_block, groups=groups, implementation="mosaic_gpu")
    found = np.asarray(jax.jit(run)(x, weights), np.float64)
    assert np.abs(found - answer).max() <= 2 * STEP * np.abs(answer).max()


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    arrays = qkv(2, 128, 128, 4, 2, 64, 64, jnp.bfloat16)
    run = functools.partial(attention, causal=causal)
    answer = by_hand(*arrays, causal=causal)
    found = np.asarray(jax.jit(run)(*arrays), np.float64)
    assert np.abs(found - answer).max() <= LIMIT * np.abs(answer).max()
