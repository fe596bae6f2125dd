"""Experts mix kernels as the equation says, and at first change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.diffusion.conftest import TINY, random_unet
from workbench.diffusion.assembly.experts import with_experts
from workbench.diffusion.checkpoint import UNET, file_tensors, load_unet, save_unet
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.unet.conditional import ConditionalConv, convolve_each, over_fields
from workbench.model_files.precision import Int8Kernel

DRAW = np.random.default_rng(0)
X = jnp.asarray(DRAW.normal(size=(3, 8, 8, 1)), jnp.float32)
CONTEXT = jnp.asarray(DRAW.normal(size=(3, 3, 8)), jnp.float32)


def _called(unet):
    graph, weights = nnx.split(unet)
    call = jax.jit(lambda w, x, c: nnx.merge(graph, w)(x, jnp.float32(300.0), c))
    return np.asarray(call(weights, X, CONTEXT))


@pytest.fixture(scope="module")
def small():
    return random_unet(
        UNetConfig(**{**dict(TINY), "mid_block_type": None, "layers_per_block": (0, 1)})
    )


@pytest.fixture(scope="module")
def plain(small):
    return _called(small)


@pytest.mark.parametrize(("experts", "routing"), [(3, "softmax"), (4, "sigmoid")])
def test_at_first_experts_compute_what_the_kernel_did(small, plain, experts, routing):
    found = with_experts(small, experts, routing)
    assert found.config.conv_experts == experts
    np.testing.assert_allclose(_called(found), plain, atol=2e-5)
    kernels = np.asarray(found.down_blocks[1].resnets[0].conv1.kernel[...])
    share = 1 if routing == "softmax" else 2 / experts
    np.testing.assert_allclose(
        kernels,
        np.broadcast_to(share * small.down_blocks[1].resnets[0].conv1.kernel[...], kernels.shape),
    )


@pytest.mark.parametrize("routing", ["softmax", "sigmoid"])
def test_the_equation_in_float64(routing):
    conv = ConditionalConv(5, 4, 3, 2, routing, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = DRAW.normal(size=(3, 6, 6, 5))
    logits = x.mean((1, 2)) @ np.asarray(conv.router.kernel[...], np.float64)
    logits += np.asarray(conv.router.bias[...], np.float64)
    r = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    r = 1 / (1 + np.exp(-logits)) if routing == "sigmoid" else r
    kernels = np.asarray(conv.kernel[...], np.float64)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    wanted = np.zeros((3, 6, 6, 4))
    for b in range(3):
        mixed = sum(r[b, i] * kernels[i] for i in range(2))
        for i in range(3):
            for j in range(3):
                wanted[b] += padded[b, i : i + 6, j : j + 6] @ mixed[i, j]
    np.testing.assert_allclose(conv(jnp.asarray(x, jnp.float32)), wanted, atol=1e-5)


def test_gradients_are_those_of_the_product_over_fields():
    x = jnp.asarray(DRAW.normal(size=(2, 4, 4, 3)), jnp.float32)
    kernels = jnp.asarray(DRAW.normal(size=(2, 3, 3, 3, 2)), jnp.float32)

    def gradient(form):
        return jax.grad(lambda x, k: jnp.sum(jnp.sin(form(x, k))), argnums=(0, 1))(x, kernels)

    np.testing.assert_allclose(convolve_each(x, kernels), over_fields(x, kernels), atol=1e-5)
    for ours, theirs in zip(gradient(convolve_each), gradient(over_fields), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_equal_experts_are_told_apart_by_their_samples(small):
    conv = with_experts(small, 2).down_blocks[1].resnets[0].conv2
    graph, weights = nnx.split(conv)
    x = jnp.asarray(DRAW.normal(size=(3, 4, 4, 16)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda w: jnp.mean(nnx.merge(graph, w)(x) ** 2)))(weights)
    kernels = np.asarray(nnx.merge(graph, gradient).kernel[...])
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3 * np.abs(kernels).max()


def test_experts_are_kept_in_a_folder_and_in_whole_numbers(small, tmp_path):
    found = with_experts(small, 2)
    save_unet(found, tmp_path)
    again = load_unet(tmp_path)
    assert again.config == found.config
    ours, theirs = (
        {name: np.asarray(t) for name, t in file_tensors(unet).items()} for unet in (found, again)
    )
    assert ours["down_blocks.1.resnets.0.conv1.weight"].shape == (2, 16, 16, 3, 3)
    assert all((ours[name] == theirs[name]).all() for name in ours)
    kernel = UNET.build(found.config, ours, dtype="int8").down_blocks[1].resnets[0].conv1.kernel
    assert isinstance(kernel, Int8Kernel)
    plain = found.down_blocks[1].resnets[0].conv1.kernel[...]
    assert jnp.abs(kernel[...] - plain).max() <= 0.51 * kernel.scale[...].max()


def test_what_cannot_be_given_experts_says_so(small):
    with pytest.raises(ValueError, match="conv_experts=3 must be even"):
        with_experts(small, 3, "sigmoid")
    with pytest.raises(ValueError, match="mixes 2 kernels already"):
        with_experts(with_experts(small, 2), 2)
    assert with_experts(small, 1) is small


def test_a_plain_form_is_named_as_before():
    assert "conv_experts" not in repr(TINY)
    assert "conv_experts" not in TINY.model_dump()
    assert "conv_experts" not in TINY.to_file_fields()
