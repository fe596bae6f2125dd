"""Kernels of a few lines, which the compile report is tested with."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.report.case import Case


def product(x_ref, y_ref, out_ref):
    out_ref[...] = jnp.dot(x_ref[...], y_ref[...], preferred_element_type=jnp.float32)


def on_tpu(x: jax.Array, y: jax.Array) -> jax.Array:
    return pl.pallas_call(product, out_shape=jax.ShapeDtypeStruct((256, 256), jnp.float32))(x, y)


def one_more(x_gmem, out_gmem, x_smem, arrived):
    plgpu.copy_gmem_to_smem(x_gmem, x_smem, arrived)
    plgpu.barrier_wait(arrived)
    x_smem[...] = x_smem[...] + 1
    plgpu.commit_smem()
    plgpu.copy_smem_to_gmem(x_smem, out_gmem)
    plgpu.wait_smem_to_gmem(0)


def on_gpu(x: jax.Array) -> jax.Array:
    return plgpu.kernel(
        one_more,
        out_type=jax.ShapeDtypeStruct(x.shape, x.dtype),
        grid=(1,),
        grid_names=("block",),
        scratch_types=[plgpu.SMEM(x.shape, x.dtype), plgpu.Barrier()],
    )(x)


def cases() -> Iterator[Case]:
    square = jax.ShapeDtypeStruct((256, 256), jnp.bfloat16)
    small = jax.ShapeDtypeStruct((128, 128), jnp.float32)
    large = jax.ShapeDtypeStruct((512, 512), jnp.float32)
    yield Case("tiny", "forward", "small", "mosaic_tpu", on_tpu, [square, square])
    yield Case("tiny", "forward", "small", "mosaic_gpu", on_gpu, [small])
    yield Case("tiny", "forward", "large", "mosaic_gpu", on_gpu, [large])
    yield Case("tiny", "forward", "plain", "mosaic_gpu", jnp.sin, [small])
    yield Case("tiny", "forward", "plain", "mosaic_tpu", jnp.sin, [small])
