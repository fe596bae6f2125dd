"""What a program on Hopper holds: its arrays in memory, its buffers and their barriers."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

from kernels_pallas.convfirst_block.mosaic_gpu_tiles import (
    STAGES,
    WARPGROUPS,
    WIDE,
    Tiles,
)

LOW = jnp.bfloat16
SWIZZLE = plgpu.SwizzleTransform(2 * WIDE)
TILED = (plgpu.TilingTransform((8, WIDE)), SWIZZLE)


class Given(NamedTuple):
    """What a program reads.

    Args:
        x: pictures [B, H, W, C].
        taps: their matrices, [C / 32, S, R 32, 32].
        expand, project: [C, E] and [E, K].
        bias, expand_bias, project_bias: by blocks and slices, in float32.
    """

    x: Any
    taps: Any
    expand: Any
    project: Any
    bias: Any
    expand_bias: Any
    project_bias: Any


class Shared(NamedTuple):
    """Shared memory; of `pixels` and `work` there are `Views`.

    Args:
        pixels: tiles with the rows around them, for each column of taps and warpgroup.
        work: of each warpgroup, what the convolution made of its tiles, then their result.
        taps, expand, project: buffers that are filled in turns, as `pixels` is.
        bias, expand_bias, project_bias: what stays.
        hidden: of each warpgroup, where the interpreter puts a factor.
    """

    pixels: Any
    work: Any
    taps: Any
    expand: Any
    project: Any
    bias: Any
    expand_bias: Any
    project_bias: Any
    hidden: Any


class Turns(NamedTuple):
    """Barriers of buffers that are filled in turns."""

    full: Any
    empty: Any


class Barriers(NamedTuple):
    """Of what stays, of what comes in turns, and of the input at a warpgroup's own tiles."""

    constants: Any
    own: Any
    pixels: Turns
    expand: Turns
    project: Turns


def shared(tiles: Tiles, interpret: bool) -> Shared:
    """What a program allocates."""
    height, width = tiles.taps
    pixels = (width, WARPGROUPS, tiles.each)
    work = (WARPGROUPS, max(tiles.blocks, tiles.out_blocks))

    def views(rows: tuple[int, ...], lying: tuple[int, ...]) -> Any:
        """A tile of 8 rows of the layout is 8 pixels side by side: both have one byte order.

        A copy from any column on cannot be told of the layout's tiles, only of its swizzle.
        """
        matrices = plgpu.SMEM((*rows, WIDE), LOW, transforms=TILED)
        pictures = plgpu.SMEM((*lying, WIDE), LOW, transforms=(SWIZZLE,))
        return matrices if interpret else plgpu.RefUnion(matrices, pictures)

    return Shared(
        pixels=views((*pixels, tiles.read * tiles.columns), (*pixels, tiles.read, tiles.columns)),
        work=views((*work, tiles.pixels), (*work, tiles.each, tiles.rows, tiles.columns)),
        taps=plgpu.SMEM((width, height * WIDE, WIDE), LOW, transforms=TILED),
        expand=plgpu.SMEM((STAGES, tiles.channels, tiles.slice), LOW, transforms=TILED),
        project=plgpu.SMEM((STAGES, tiles.slice, tiles.outputs), LOW, transforms=TILED),
        bias=plgpu.SMEM((tiles.blocks, WIDE), jnp.float32),
        expand_bias=plgpu.SMEM((tiles.hidden // WIDE, WIDE), jnp.float32),
        project_bias=plgpu.SMEM((tiles.out_blocks, WIDE), jnp.float32),
        hidden=plgpu.SMEM((WARPGROUPS, tiles.pixels, WIDE), LOW) if interpret else None,
    )


def barriers(tiles: Tiles, interpret: bool) -> Barriers:
    """As many arrivals as copies, or as warpgroups that compute."""

    def turns(copies: int, buffers: int) -> Turns:
        return Turns(
            plgpu.Barrier(num_arrivals=copies, num_barriers=buffers),
            plgpu.Barrier(num_arrivals=WARPGROUPS, num_barriers=buffers),
        )

    copies = WARPGROUPS * tiles.each * (tiles.read if interpret else 1)
    own = tiles.each * tiles.out_blocks * (tiles.rows if interpret else 1)
    return Barriers(
        constants=plgpu.Barrier(num_arrivals=3),
        own=plgpu.Barrier(num_arrivals=own, num_barriers=WARPGROUPS),
        pixels=turns(copies + 1, tiles.taps[1]),
        expand=turns(1, STAGES),
        project=turns(1, STAGES),
    )


class Views(NamedTuple):
    """Of a buffer: as matrices, which have a pixel a row, and as pictures; the bytes are the same.

    In the interpreter the second is missing.
    """

    matrices: Any
    pictures: Any


def viewed(allocated: Shared, interpret: bool) -> Shared:
    """With both views of the buffers that have them."""
    pixels, work = (
        Views(views, None) if interpret else Views(*views)
        for views in (allocated.pixels, allocated.work)
    )
    return allocated._replace(pixels=pixels, work=work)
