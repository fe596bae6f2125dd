"""The quantising norm and the trained layer in every form, against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels_pallas import bit_linear, rms_norm_quantize
from tests.kernels_pallas.ternary_oracle import (
    assert_close,
    assert_quantised,
    layer_gradients,
    normed,
)

FORMS = ["reference", "xla", "mosaic_tpu", "mosaic_gpu"]
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}


def options(form):
    return {"implementation": form, "interpret": form.startswith("mosaic")}


def quantise(form, x, gain, eps=1e-6):
    """The norm of a form, compiled as a whole: eager calls compile each operation."""
    return jax.jit(lambda x, gain: rms_norm_quantize(x, gain, eps=eps, **options(form)))(x, gain)


def normal(*shape, dtype="float32", seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(size * rng.standard_normal(shape), jnp.dtype(dtype))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_codes_and_scales(form, dtype):
    x, gain = normal(2, 3, 256, dtype=dtype), 1 + normal(256, seed=1, size=0.1)
    codes, scale = quantise(form, x, gain)
    assert codes.dtype == jnp.int8 and codes.shape == x.shape
    assert scale.dtype == jnp.float32 and scale.shape == (2, 3, 1)
    assert_quantised(codes, scale, normed(x, gain, 1e-6), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 33])
@pytest.mark.parametrize("width", [128, 1024, 2816])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_codes_and_scales_at_model_widths(form, rows, width, size):
    if form == "mosaic_gpu" and rows > 1:
        rows = 3
    x, gain = normal(rows, width, size=size), normal(width, seed=1)
    codes, scale = quantise(form, x, gain)
    assert_quantised(codes, scale, normed(x, gain, 1e-6), 1e-5)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=2),
    width=st.integers(1, 70),
    dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    form=st.sampled_from(["reference", "xla"]),
    eps=st.sampled_from([1e-8, 1e-6, 1e-2]),
)
def test_codes_and_scales_of_any_shape(shape, width, dtype, form, eps):
    x, gain = normal(*shape, width, dtype=dtype), normal(width, dtype=dtype, seed=1)
    codes, scale = quantise(form, x, gain, eps)
    assert_quantised(codes, scale, normed(x, gain, eps), 1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_not_finite_have_no_finite_scale(form):
    x = np.array(normal(6, 128))
    x[1], x[2, 7], x[3, 1], x[4] = 0, np.nan, np.inf, x[4] * 1e22
    codes, scale = quantise(form, jnp.asarray(x), jnp.ones(128))
    scale = np.asarray(scale)[:, 0]
    np.testing.assert_array_equal(np.isnan(scale), [False, False, True, True, True, False])
    assert scale[1] == np.float32(1e-5) / np.float32(127), "a row of zeros has the least scale"
    assert not np.asarray(codes)[1:5].any()


def test_halves_go_to_even():
    x = jnp.asarray([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]])
    root = float(jnp.sqrt(jnp.mean(jnp.square(x))))
    for form in ("reference", "xla"):
        codes, _ = rms_norm_quantize(x, jnp.full(6, root), eps=1e-12, **options(form))
        assert abs(np.asarray(codes, int) - [[127, 0, 2, 2, 0, -2]]).max() <= 1


def test_reference_is_exact_in_float64():
    with jax.enable_x64(True):
        x, gain = normal(3, 40, dtype="float64"), normal(40, dtype="float64", seed=1)
        codes, scale = rms_norm_quantize(x, gain, implementation="reference")
        assert scale.dtype == jnp.float64
        assert_quantised(codes, scale, normed(x, gain, 1e-6), 1e-14)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layer_and_each_gradient(form, dtype):
    """Given the form's own codes: a half may be rounded the other way in float64."""
    x, weight = normal(6, 256, dtype=dtype), normal(256, 24, seed=2)
    gain, g = 1 + normal(256, seed=1, size=0.1), normal(6, 24, dtype=dtype, seed=3)
    codes, scale = quantise(form, x, gain)

    def layer(x, weight, gain):
        return bit_linear(x, weight, gain, **options(form))

    def both(x, weight, gain, g):
        out, pull = jax.vjp(layer, x, weight, gain)
        return out, pull(g)

    out, gradients = jax.jit(both)(x, weight, gain, g)
    assert out.dtype == x.dtype
    w = np.asarray(weight, np.float64)
    size = np.abs(w).mean()
    signs = np.clip(np.round(w / size), -1, 1)
    exact = np.asarray(codes, np.float64) @ signs * np.asarray(scale, np.float64) * size
    assert_close(out, exact, TOLERANCE[dtype])
    wanted = layer_gradients(x, weight, gain, codes, scale, g, 1e-6)
    for found, one, given_ in zip(gradients, wanted, (x, weight, gain), strict=True):
        assert found.dtype == given_.dtype and found.shape == given_.shape
        assert_close(found, one, TOLERANCE[dtype])


def test_gradients_agree_with_those_of_the_definition():
    x, weight, gain = normal(2, 3, 64), normal(64, 8, seed=2), normal(64, seed=1)

    def loss(form):
        def total(x, weight, gain):
            return jnp.sum(jnp.sin(bit_linear(x, weight, gain, implementation=form)))

        return jax.jit(jax.grad(total, (0, 1, 2)))(x, weight, gain)

    for ours, theirs in zip(loss("xla"), loss("reference"), strict=True):
        assert_close(ours, np.asarray(theirs, np.float64), 1e-5)


def test_layer_gives_nan_where_it_is_given_nan():
    x = normal(3, 16).at[1, 2].set(jnp.nan)
    weight, gain = normal(16, 4, seed=2), jnp.ones(16)
    layer = jax.jit(bit_linear)
    out = np.asarray(layer(x, weight, gain))
    assert np.isnan(out[1]).all() and np.isfinite(out[[0, 2]]).all()
    assert np.isnan(np.asarray(layer(x, weight.at[0, 0].set(jnp.nan), gain))).all()
    assert np.isnan(np.asarray(layer(x, weight, gain.at[0].set(jnp.nan)))).all()


def test_layer_of_zeros_is_zero():
    arrays = jnp.zeros((2, 8)), jnp.zeros((8, 3)), jnp.ones(8)
    assert not np.asarray(jax.jit(bit_linear)(*arrays)).any()
    gradients = jax.jit(jax.grad(lambda *given_: bit_linear(*given_).sum(), (0, 1, 2)))(*arrays)
    assert all(np.isfinite(np.asarray(one)).all() for one in gradients)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rms_norm_quantize(jnp.ones((2, 4), jnp.int8), jnp.ones(4)), TypeError, "x has"),
        (lambda: rms_norm_quantize(jnp.ones((2, 4)), jnp.ones(5)), ValueError, "weight has shape"),
        (lambda: rms_norm_quantize(jnp.ones(()), jnp.ones(1)), ValueError, "x has shape"),
        (lambda: rms_norm_quantize(jnp.ones((0, 4)), jnp.ones(4)), ValueError, "no axis empty"),
        (lambda: rms_norm_quantize(jnp.ones((2, 4)), jnp.ones(4), eps=0.0), ValueError, "eps=0.0"),
        (
            lambda: rms_norm_quantize(
                jnp.ones((2, 4)), jnp.ones(4), implementation="mosaic_gpu", interpret=True
            ),
            ValueError,
            "K=4 is not a multiple of 128",
        ),
        (
            lambda: rms_norm_quantize(
                jnp.ones((2, 128), jnp.float16),
                jnp.ones(128),
                implementation="mosaic_tpu",
                interpret=True,
            ),
            ValueError,
            "x is float16; the kernel takes",
        ),
        (
            lambda: bit_linear(jnp.ones((2, 4)), jnp.ones((4, 3), jnp.int8), jnp.ones(4)),
            TypeError,
            "weight has dtype int8",
        ),
        (
            lambda: bit_linear(jnp.ones((2, 4)), jnp.ones((5, 3)), jnp.ones(4)),
            ValueError,
            r"bit_linear: weight has shape \(5, 3\); needed \[4, N\]",
        ),
        (
            lambda: bit_linear(jnp.ones((2, 4)), jnp.ones((4, 3)), jnp.ones(4), eps=-1.0),
            ValueError,
            "eps=-1.0",
        ),
        (
            lambda: bit_linear(
                jnp.ones((2, 4)), jnp.ones((4, 3)), jnp.ones(4), implementation="pallas"
            ),
            ValueError,
            "cannot run on",
        ),
    ],
)
def test_refuses(call, error, words):
    with pytest.raises(error, match=words):
        call()
