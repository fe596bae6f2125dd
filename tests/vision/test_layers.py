"""Layers against their formulas, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.model_files.abstract import AnyKey
from workbench.vision.convolution import convolve
from workbench.vision.drop_path import drop_path, rates
from workbench.vision.layers import Conv
from workbench.vision.making import rounded
from workbench.vision.networks.resnet import largest_of_nine
from workbench.vision.norms import BatchNorm, LayerNorm
from workbench.vision.squeeze import SqueezeExcite

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def conv(*shape, dtype=jnp.float32, **how):
    """A layer with shapes for weights."""
    return nnx.eval_shape(lambda: Conv(*shape, dtype=dtype, rngs=AnyKey(), **how))


def by_hand(x, kernel, stride, groups, around):
    """Every output pixel and group apart, in float64."""
    (above, below), (left, right) = around
    taps = kernel.shape[0]
    x = np.pad(x.astype(np.float64), ((0, 0), (above, below), (left, right), (0, 0)))
    rows = range(0, x.shape[1] - taps + 1, stride)
    columns = range(0, x.shape[2] - taps + 1, stride)
    width, outputs = kernel.shape[2], kernel.shape[3] // groups
    y = np.zeros((x.shape[0], len(rows), len(columns), kernel.shape[3]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            seen = x[:, row : row + taps, column : column + taps]
            for g in range(groups):
                mine = slice(g * outputs, (g + 1) * outputs)
                patch = seen[..., g * width : (g + 1) * width]
                y[:, i, j, mine] = np.einsum("brsc,rsck->bk", patch, kernel[..., mine])
    return y


@pytest.mark.parametrize(
    ("taps", "stride", "groups"),
    [(3, 1, 1), (3, 2, 1), (1, 1, 1), (1, 2, 1), (3, 1, 8), (5, 2, 8), (3, 2, 2), (1, 1, 4)],
)
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_convolutions(taps, stride, groups, padding):
    x, kernel = normal(2, 7, 6, 8), normal(taps, taps, 8 // groups, 16)
    around = [(taps // 2, taps // 2)] * 2
    if padding == "same":
        missing = [max((-(-n // stride) - 1) * stride + taps - n, 0) for n in (7, 6)]
        around = [(m // 2, m - m // 2) for m in missing]
    found = convolve(
        jnp.asarray(x),
        jnp.asarray(kernel),
        stride=stride,
        groups=groups,
        padding="same" if padding == "same" else taps // 2,
    )
    wanted = by_hand(x, kernel, stride, groups, around)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="groups=3 does not divide 8 input channels"):
        conv(8, 6, 3, groups=3)


def test_batch_norm_of_a_batch_and_after():
    norm, x = BatchNorm(3, eps=1e-5, dtype=jnp.float32), normal(4, 5, 2, 3) * 2 + 7
    norm.scale[...] = jnp.asarray([1.0, 2.0, 0.5])
    found = norm(jnp.asarray(x), nnx.Rngs(0))
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    scale = np.asarray([1.0, 2.0, 0.5]) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(found, (x - mean) * scale, atol=1e-5)
    np.testing.assert_allclose(norm.running_mean[...], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.running_var[...], 0.9 + 0.1 * var * 40 / 39, rtol=1e-5)
    later = norm(jnp.asarray(x))
    kept = np.asarray(norm.running_mean[...]), np.asarray(norm.running_var[...])
    wanted = (x - kept[0]) / np.sqrt(kept[1] + 1e-5) * np.asarray([1.0, 2.0, 0.5])
    np.testing.assert_allclose(later, wanted, rtol=1e-5, atol=1e-5)


def test_layer_norm():
    norm, x = LayerNorm(6, eps=1e-6, dtype=jnp.float32), normal(2, 3, 6) + 100
    away = x - x.mean(-1, keepdims=True)
    wanted = away / np.sqrt((away**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(norm(jnp.asarray(x)), wanted, atol=1e-3)


def test_squeeze_and_excitation():
    reduce, expand = conv(8, 2, 1, bias=True), conv(2, 8, 1, bias=True)
    for layer in (reduce, expand):
        layer.kernel = nnx.Param(jnp.asarray(normal(*layer.kernel.shape)))
        layer.bias = nnx.Param(jnp.zeros(layer.bias.shape))
    layer = SqueezeExcite(reduce, expand, activation="relu", gate="hard_sigmoid")
    x = normal(2, 4, 4, 8) + 1
    hidden = np.maximum(x.mean((1, 2)) @ np.asarray(reduce.kernel[...])[0, 0], 0)
    gate = np.clip(hidden @ np.asarray(expand.kernel[...])[0, 0] / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(layer(jnp.asarray(x)), x * gate[:, None, None], rtol=1e-5)


def test_largest_of_nine():
    x = jnp.asarray(-np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1))
    assert largest_of_nine(x)[0, :, :, 0].tolist() == [[0, -1], [-4, -5]]


def test_drop_path_keeps_the_mean():
    branch = jnp.ones((4000, 1, 1, 1))
    assert drop_path(branch, 0.25, None) is branch
    found = np.asarray(drop_path(branch, 0.25, nnx.Rngs(0)))
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(found.mean() - 1) < 0.03
    assert rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert rates(0.3, 1) == [0]


def test_channels_are_rounded_as_mobilenets_are():
    assert [rounded(n) for n in (1, 8, 11, 12, 88.08, 44.8, 11.2, 83.2)] == [
        *(8, 8, 16, 16, 88, 48, 16, 80),
    ]


def test_a_layer_is_computed_in_its_own_dtype():
    graph, weights = nnx.split(conv(4, 4, 3, dtype=jnp.bfloat16))
    assert [leaf.dtype for leaf in jax.tree.leaves(weights)] == [jnp.float32]
    x = jax.ShapeDtypeStruct((1, 5, 5, 4), jnp.bfloat16)
    y = jax.eval_shape(lambda weights, x: nnx.merge(graph, weights)(x), weights, x)
    assert y.dtype == jnp.bfloat16
