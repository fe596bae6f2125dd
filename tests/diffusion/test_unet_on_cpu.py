"""What a UNet does for a CPU's sake alone leaves its predictions as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from kernels_pallas.conv2d import choice
from workbench import row_blocks
from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.diffusion.unet.layers import WinogradKernel
from workbench.diffusion.unet.transformer import FeedForward
from workbench.diffusion.unet.winograd import transform_kernels
from workbench.measure.macs import count
from workbench.model_files.abstract import abstract
from workbench.model_files.precision import with_int8_kernels

CONFIG = UNetConfig(
    sample_size=8,
    in_channels=2,
    out_channels=2,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
    mid_block_type=None,
    layers_per_block=1,
    norm_num_groups=4,
)


def predicted(unet, x):
    graph, weights = nnx.split(unet)
    return jax.jit(lambda weights, x: nnx.merge(graph, weights)(x, 5.0))(weights, x)


@pytest.mark.slow
@pytest.mark.long
def test_kernels_kept_transformed_predict_the_same(monkeypatch):
    asked = []

    def pays(x_shape, kernel_shape, window):
        asked.append((x_shape, kernel_shape))
        return kernel_shape[2:] == (8, 16)

    monkeypatch.setattr(choice, "transformed_pays", pays)
    unet = UNet2DCondition(CONFIG, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
    before = predicted(unet, x)
    changed = transform_kernels(unet, 8, 8)
    kept = [m for _, m in nnx.iter_graph(unet) if isinstance(m, WinogradKernel)]
    assert changed == len(kept) == 1
    assert ((2, 8, 8, 16), (3, 3, 16, 16)) in asked, "the upsampler sees the larger picture"
    assert ((2, 4, 4, 8), (3, 3, 8, 16)) in asked, "the inner block sees the smaller one"
    after = predicted(unet, x)
    assert float(jnp.abs(after - before).max()) < 1e-5
    assert not np.array_equal(after, before), "nothing else was computed"
    assert transform_kernels(unet, 8, 8) == 0


def test_kernels_in_int8_are_not_kept_transformed():
    unet = abstract(UNet2DCondition, CONFIG, dtype=jnp.float32)
    with_int8_kernels(unet)
    with pytest.raises(TypeError, match="int8 cannot be kept transformed; load float32"):
        transform_kernels(unet, 8, 8)


def test_what_is_done_to_an_outline_stays_with_it():
    """It is traced once a process: each that is asked for is nevertheless a model of its own."""
    first, second = (abstract(UNet2DCondition, CONFIG, dtype=jnp.float32) for _ in range(2))
    before = nnx.state(second)
    with_int8_kernels(first)
    assert nnx.state(first) != before
    for unet in (second, abstract(UNet2DCondition, CONFIG, dtype=jnp.float32)):
        assert nnx.state(unet) == before
    other = abstract(UNet2DCondition, CONFIG, dtype=jnp.bfloat16)
    assert other.dtype == jnp.bfloat16 and second.dtype == jnp.float32


@pytest.mark.slow
def test_rows_in_blocks_give_what_they_give_at_once(monkeypatch):
    forward = FeedForward(8, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (2, 12, 8))
    graph, weights = nnx.split(forward)

    def run():  # a new function each time, so that nothing traced before is taken
        return lambda weights, x: nnx.merge(graph, weights)(x)

    def with_gradients(forward):
        def total(weights, x):
            out = forward(weights, x)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(weights, x)

    whole, macs = with_gradients(run()), count(run(), weights, x).total
    monkeypatch.setattr(row_blocks, "ROWS", 8)
    monkeypatch.setattr(row_blocks, "LARGE", 0)
    assert "while" in jax.jit(run()).lower(weights, x).as_text()
    blocked = with_gradients(run())
    for one, other in zip(jax.tree.leaves(blocked), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert count(run(), weights, x).total == macs
    assert "while" not in jax.jit(run()).lower(weights, x[:, :3]).as_text(), "one block"
