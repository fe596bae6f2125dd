"""TPU kernels in the simulator on two cores: no core touches what another writes unordered."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.pallas.mosaic.interpret import interpret_pallas_call
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels_pallas import grouped_conv2d, pack_blocks
from kernels_pallas.block_sparse_matmul import mosaic_tpu as blocks_tpu
from kernels_pallas.conv2d.window import window
from kernels_pallas.convfirst_block import mosaic_tpu as convfirst_tpu
from kernels_pallas.convfirst_block.block import Known
from kernels_pallas.grouped_conv2d import mosaic_tpu
from kernels_pallas.mbconv_block import mosaic_tpu as mbconv_tpu
from tests.kernels_pallas.test_block_sparse_matmul import by_hand as product
from tests.kernels_pallas.test_block_sparse_matmul import problem as blocks_problem
from tests.kernels_pallas.test_fused_blocks import problem, wanted
from tests.kernels_pallas.test_grouped_conv2d import arrays, by_hand, error
from workbench.measure.device import threads_available

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        threads_available() < 2, reason="the simulator's two cores wait for each other"
    ),
]

WATCHED = pltpu.InterpretParams(detect_races=True, num_cores_or_threads=2)
"""Parallel axes of a grid are shared by both cores; memory that was not written is not a number."""


@pytest.fixture(autouse=True)
def forgotten():
    """The simulator's memory and races are of the whole process."""
    interpret_pallas_call.reset_tpu_interpret_mode_state()
    yield
    interpret_pallas_call.reset_tpu_interpret_mode_state()


def raced(call, *given):
    """What a kernel computes, and whether its cores raced."""
    found = np.asarray(jax.jit(call)(*given))
    return found, interpret_pallas_call.races.races_found


@pytest.mark.parametrize("semantics", ["parallel", "arbitrary"])
def test_two_cores_that_write_one_block_are_found(semantics):
    call = pl.pallas_call(
        lambda x_ref, out_ref: out_ref.__setitem__(..., x_ref[...]),
        grid=(2,),
        in_specs=[pl.BlockSpec((8, 128), lambda i: (i, 0))],
        out_specs=pl.BlockSpec((8, 128), lambda i: (0, 0)),
        out_shape=jax.ShapeDtypeStruct((8, 128), jnp.float32),
        compiler_params=pltpu.CompilerParams(dimension_semantics=(semantics,)),
        interpret=WATCHED,
    )
    _, races = raced(call, jnp.ones((16, 128)))
    assert races == (semantics == "parallel")


@pytest.mark.parametrize("width", [1, 4])
def test_grouped_convolution(monkeypatch, width):
    monkeypatch.setattr(mosaic_tpu, "_block", lambda *_: 3)  # of five: the last is in part
    x, kernel = arrays((2, 5, 6, 8), (3, 3, width, 8))
    op = functools.partial(
        grouped_conv2d, groups=8 // width, implementation="mosaic_tpu", interpret=WATCHED
    )
    found, races = raced(op, x, kernel)
    assert not races
    wanted_sum = by_hand(x, kernel, 8 // width, padding=((1, 1), (1, 1)))
    assert error(found, wanted_sum) < 1e-5


@pytest.mark.parametrize("op", ["convfirst_block", "mbconv_block"])
def test_fused_blocks(op):
    x, weights, groups = problem(op, (4, 5), 8, 4)
    kernel = {
        "convfirst_block": convfirst_tpu.convfirst_block,
        "mbconv_block": mbconv_tpu.mbconv_block,
    }[op]
    how = Known(groups, window(x.shape[1:3], (3, 3), 1, 1), "silu", True)
    found, races = raced(lambda x, weights: kernel(x, weights, how, interpret=WATCHED), x, weights)
    assert not races
    assert error(found, wanted(op, x, weights, groups)) < 2e-5


@pytest.mark.parametrize("backward", [False, True])
def test_product_with_kept_blocks(monkeypatch, backward):
    monkeypatch.setattr(blocks_tpu, "ROWS", 16)
    x, w, _ = blocks_problem(20, 256, 256, 128, share=0.7)
    blocks, pattern = pack_blocks(w, 128)
    if not backward:
        call = functools.partial(blocks_tpu.block_sparse_matmul, pattern=pattern, interpret=WATCHED)
        found, races = raced(call, x, blocks)
        answer = product(x, w)
    else:
        slopes, _, _ = blocks_problem(20, 256, 256, 128, seed=1)
        call = functools.partial(blocks_tpu.gradient_of_blocks, pattern=pattern, interpret=WATCHED)
        found, races = raced(call, x, slopes)
        whole = np.asarray(x, np.float64).T @ np.asarray(slopes, np.float64)
        answer = np.stack([whole[128 * i :, 128 * j :][:128, :128] for i, j in pattern.kept])
    assert not races
    assert error(found, answer) < 1e-4
