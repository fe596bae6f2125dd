"""The TPU kernels of whole blocks in the interpreter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas.conv2d.window import window
from kernels_pallas.convfirst_block import mosaic_tpu, mosaic_tpu_tiles
from kernels_pallas.convfirst_block.mosaic_tpu_tiles import Tiles, moved
from kernels_pallas.mbconv_block import mosaic_tpu as mbconv_tpu
from tests.kernels_pallas.test_fused_blocks import OPS, both, error, problem, wanted

KERNEL = {"implementation": "mosaic_tpu", "interpret": True}


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def interpreted(op, **options):
    return jax.jit(functools.partial(OPS[op], **KERNEL, **options))


@both
@pytest.mark.parametrize("width", [1, 8])
def test_the_kernel_computes_the_block(op, width):
    x, weights, groups = problem(op, (6, 5), 16, width)
    found = interpreted(op, groups=groups, activation="silu")(x, weights)
    assert error(found, wanted(op, x, weights, groups)) < 2e-5


@both
def test_more_channels_than_lanes_no_residual_and_odd_padding(op):
    x, weights, groups = problem(op, (4, 5), 136, 4, 1, outputs=24)
    sides = ((0, 2), (1, 1))
    found = interpreted(op, groups=groups, activation="relu6", padding=sides)(x, weights)
    answer = wanted(op, x, weights, groups, "relu6", padding=sides)
    assert error(found, answer) < 2e-5 * (1 + np.abs(answer).max())


@both
def test_pictures_in_several_programs(op, monkeypatch):
    module = {"convfirst_block": mosaic_tpu, "mbconv_block": mbconv_tpu}[op]
    cut = Tiles.fitting

    def small(*shapes, **sizes):
        whole = cut(*shapes, **sizes)
        return whole._replace(rows=whole.rows._replace(block=3, blocks=3))

    monkeypatch.setattr(Tiles, "fitting", small)
    x, weights, groups = problem(op, (7, 6), 8, 4)
    assert module._tiles(x, weights, known(op, x, groups)).rows.blocks == 3
    found = interpreted(op, groups=groups)(x, weights)
    assert error(found, wanted(op, x, weights, groups)) < 2e-5


def known(op, x, groups):
    from kernels_pallas.convfirst_block.block import Known

    return Known(groups, window(x.shape[1:3], (3, 3), 1, 1), "silu", True)


@both
def test_half_precision_is_summed_wider(op):
    x, weights, groups = problem(op, (4, 4), 8, 1, dtype=jnp.bfloat16)
    found = interpreted(op, groups=groups)(x, weights)
    answer = wanted(op, x, weights, groups)
    assert found.dtype == jnp.bfloat16
    assert error(found, answer) < 6 * float(jnp.finfo(jnp.bfloat16).eps) * np.abs(answer).max()


@both
def test_gradients_are_those_of_the_definition(op):
    x, weights, groups = problem(op, (4, 4), 8, 4)

    def gradients(**options):
        def total(x, weights):
            return jnp.sum(jnp.sin(OPS[op](x, weights, groups=groups, **options)))

        return jax.tree.leaves(jax.jit(jax.grad(total, (0, 1)))(x, weights))

    for one, other in zip(gradients(**KERNEL), gradients(implementation="reference"), strict=True):
        assert error(one, np.asarray(other)) < 5e-5


@both
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"strides": 2}, r"strides of 1, not \(2, 2\)"),
        ({"width": 3, "channels": 6}, {}, "groups of 3 channels do not share 128 lanes"),
        ({"dtype": jnp.float16}, {}, "x has dtype float16; mosaic_tpu takes float32"),
    ],
)
def test_what_the_kernel_cannot_take_is_named(op, change, options, message):
    x, weights, groups = problem(op, **change)
    with pytest.raises(ValueError, match=f"implementation='mosaic_tpu': .*{message}"):
        OPS[op](x, weights, groups=groups, **KERNEL, **options)


@both
def test_weights_too_large_for_memory_are_named(op, monkeypatch):
    module = {"convfirst_block": mosaic_tpu, "mbconv_block": mbconv_tpu}[op]
    monkeypatch.setattr(module, "MEMORY", 1 << 18)
    x, weights, groups = problem(op)
    with pytest.raises(ValueError, match="a row of pixels and the weights do not fit"):
        OPS[op](x, weights, groups=groups, **KERNEL)


@pytest.mark.parametrize(("memory", "programs"), [(4 << 20, 2), (2 << 20, 3)])
def test_rows_are_cut_alike_into_as_few_programs_as_fit(memory, programs):
    place = window((56, 56), (3, 3), 1, 1)
    sizes = {"held": 0, "read": 1024, "written": 512, "chunk": 0}
    rows = Tiles.fitting((1, 56, 56, 64), (3, 3, 8, 64), place, memory=memory, **sizes).rows
    assert rows.pitch == 64 and rows.blocks == programs
    assert rows.block == -(-56 // programs)

    def used(programs):
        block = -(-56 // programs)
        return rows.pitch * ((block + 3) * 1024 + block * 512)

    assert used(programs) <= memory < used(programs - 1)


def test_the_traffic_told_to_xla_is_that_of_the_grid():
    """Blocks of pixels as they overlap, padded lanes included, and each weight once."""
    place = window((8, 8), (3, 3), 1, 1)
    x = jax.ShapeDtypeStruct((2, 8, 8, 64), jnp.bfloat16)
    sizes = {"held": 0, "read": 1, "written": 1, "chunk": 0, "memory": 1 << 20}
    tiles = Tiles.fitting(x.shape, (3, 3, 8, 64), place, **sizes)
    from kernels_pallas.convfirst_block import cost

    chain = cost.layers(x.shape, (3, 3, 8, 64), 256, 64, window=place)
    weights = [jax.ShapeDtypeStruct((256, 128), jnp.bfloat16)] * 2
    found = moved(x, weights, tiles.rows, chain)
    pixels = 16 * (8 + 3) + 16 * 8
    assert found.bytes_moved == 2 * (2 * 128 * pixels + 2 * 256 * 128)
    assert found.macs == sum(layer.macs for layer in chain)
    assert mosaic_tpu_tiles.MEMORY < 16 << 20
