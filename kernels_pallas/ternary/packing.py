"""Ternary weights in two bits each, in orders that every form unpacks without shuffling.

A weight w [K, N] is cut into tiles. Byte (r, c) of a tile of 128 rows holds the codes w + 1 of the
four rows r, 32 + r, 64 + r, 96 + r of column c in its bits 0-1, 2-3, 4-5 and 6-7. Shifting a whole
tile by 2 j and masking therefore gives rows 32 j to 32 j + 31 in order: one slab of a matmul's
operand on a TPU, one vector of products on a CPU.

    layout      codes                      tile of w    for
    "strips"    [K/128, N/16, 32, 16]      128 x 16     CPUs
    "rows"      [K/128, N/128, 32, 128]    128 x 128    TPUs
    "columns"   [K/256, N/128, 128, 64]    256 x 128    NVIDIA GPUs

A CPU computes 16 columns at once, one vector of 16-bit numbers, and reads strips byte after byte as
they lie, which is what its prefetching follows. Hopper's tensor core wants slabs of 64 rows with K
along the bytes: byte (c, r) of "columns" holds the rows r, 64 + r, 128 + r, 192 + r of column c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas import checks
from kernels_pallas.dispatch import current_target

TILE = 128
BYTES = TILE // 4
"""Rows of bytes in a tile of 128 rows."""
DEEP = 2 * TILE
"""Rows of K in a tile of the layout "columns"."""
STRIP = 16
"""Columns of a tile of the layout "strips"."""
TILES = {"strips": (TILE, STRIP), "rows": (TILE, TILE), "columns": (DEEP, TILE)}
"""Rows and columns of w in a tile of each layout."""
LAYOUTS = tuple(TILES)
STORAGE = ("two_bit", "base3")
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("codes",),
    meta_fields=("rows", "columns", "layout"),
)
@dataclass(frozen=True)
class PackedTernary:
    """A ternary matrix [K, N] at two bits a weight, K and N filled up to whole tiles with zeros.

    A pytree: it passes through `jit`, and `vmap` or `scan` over a stack of matrices.

    Args:
        codes: uint8, tiles of w in the order of the layout, as the module describes them.
        rows: K.
        columns: N.
        layout: one of `LAYOUTS`.
    """

    codes: jax.Array
    rows: int
    columns: int
    layout: str

    @property
    def nbytes(self) -> int:
        """Bytes held, filling included."""
        return self.codes.size

    @property
    def filled(self) -> int:
        """K filled up to whole tiles of its layout."""
        deep, _ = TILES[self.layout]
        return -(-self.rows // deep) * deep

    def with_layout(self, layout: str) -> PackedTernary:
        """The same matrix in another layout. Convert once, when weights are loaded: every form
        takes either layout, but changes a foreign one in each call, which costs passes over it.

        Raises:
            ValueError: if there is no such layout.
        """
        checks.option("PackedTernary", "layout", layout, LAYOUTS)
        return self if layout == self.layout else _packed(unpack_ternary(self), layout)


@partial(jax.tree_util.register_dataclass, data_fields=("digits",), meta_fields=("rows", "columns"))
@dataclass(frozen=True)
class Base3Ternary:
    """A ternary matrix [K, N] for storage: five weights a byte, 1.6 bits each.

    Args:
        digits: uint8 [ceil(K/5), N]; byte i is sum_d 3^d (w[5 i + d] + 1).
        rows: K.
        columns: N.
    """

    digits: jax.Array
    rows: int
    columns: int


def pack_ternary(
    w: jax.Array,
    *,
    layout: str | None = None,
    storage: str = "two_bit",
    validate: bool = False,
) -> PackedTernary | Base3Ternary:
    """Packs w [K, N] of -1, 0, 1 into two bits a weight (1.6 with `storage="base3"`).

    Args:
        w: int8 [K, N], any K and N.
        layout: "strips", "rows" or "columns"; None takes the one of the device that this is
            traced for (`layout_for`).
        storage: "two_bit" for computing; "base3" for keeping, which `unpack_ternary` reads and
            `ternary_matmul` does not.
        validate: whether traced or large arrays are tested for other values too.

    Raises:
        TypeError: if w is not int8.
        ValueError: if w is not a matrix, or a known w holds other values.

    Cost: reads K N bytes; writes ceil(K/128) ceil(N/128) 4096, in layout "columns" for K up to
        whole tiles of 256.
    """
    layout = layout_for(current_target().platform) if layout is None else layout
    checks.option("pack_ternary", "layout", layout, LAYOUTS)
    checks.option("pack_ternary", "storage", storage, STORAGE)
    if w.dtype != jnp.int8:
        raise TypeError(f"pack_ternary: w has dtype {w.dtype}; needed int8")
    checks.shapes("pack_ternary", w=(w, "K N"))
    w = jnp.asarray(w)
    checks.values("pack_ternary", "w holds values other than -1, 0, 1", w, _ternary, validate)
    return _base3(w) if storage == "base3" else _packed(w, layout)


def layout_for(platform: str) -> str:
    """The layout that products on "cpu", "tpu" or "gpu" read."""
    return {"tpu": "rows", "gpu": "columns"}.get(platform, "strips")


def unpack_ternary(packed: PackedTernary | Base3Ternary) -> jax.Array:
    """The int8 [K, N] matrix that was packed.

    Raises:
        TypeError: if `packed` is neither of the two forms.
    """
    if isinstance(packed, Base3Ternary):
        digits = packed.digits[:, None, :] // _powers() % jnp.uint8(3)
        flat = digits.reshape(-1, packed.columns)[: packed.rows]
        return flat.astype(jnp.int8) - jnp.int8(1)
    check_packed("unpack_ternary", packed)
    return unpack_filled(packed)[: packed.rows, : packed.columns]


def check_packed(op: str, packed: PackedTernary) -> None:
    """`packed` is one matrix at two bits a weight.

    Raises:
        TypeError: if it is another thing (base-3 storage is unpacked and packed anew first).
        ValueError: if it is a stack of matrices, or its codes are not what its sizes say.
    """
    if not isinstance(packed, PackedTernary):
        raise TypeError(
            f"{op}: packed is a {type(packed).__name__}; needed what pack_ternary returns"
            " (base-3 storage is unpacked and packed anew first)"
        )
    checks.option(op, "packed.layout", packed.layout, LAYOUTS)
    needed = codes_shape(packed.rows, packed.columns, packed.layout)
    codes = packed.codes
    if tuple(codes.shape) != needed or codes.dtype != jnp.uint8:
        raise ValueError(
            f"{op}: packed.codes is {codes.dtype}{list(codes.shape)}; needed uint8{list(needed)}"
            " (of a stack of matrices take one, by an index or inside a scan)"
        )


def codes_shape(rows: int, columns: int, layout: str) -> tuple[int, int, int, int]:
    """Shape of the codes of a matrix [rows, columns]; columns are filled up to multiples of 128."""
    deep, wide = TILES[layout]
    tile = (wide, deep // 4) if layout == "columns" else (deep // 4, wide)
    return -(-rows // deep), -(-columns // TILE) * (TILE // wide), *tile


def matrix_of(stack: PackedTernary, index: jax.Array) -> PackedTernary:
    """One matrix of a stack of them."""
    codes = jax.lax.dynamic_index_in_dim(stack.codes, index, keepdims=False)
    return PackedTernary(codes, stack.rows, stack.columns, stack.layout)


def unpack_filled(packed: PackedTernary) -> jax.Array:
    """The int8 matrix with its filling of zeros: both sizes are multiples of 128."""
    codes = packed.codes
    if packed.layout == "columns":
        codes = jnp.swapaxes(codes, -1, -2)
    tiles, blocks, slab, wide = codes.shape
    parts = jnp.right_shift(codes[:, None], _shifts(5)) & jnp.uint8(3)
    w = parts.transpose(0, 1, 3, 2, 4).reshape(tiles * 4 * slab, blocks * wide)
    return w.astype(jnp.int8) - jnp.int8(1)


def _packed(w: jax.Array, layout: str) -> PackedTernary:
    rows, columns = w.shape
    deep, wide = TILES[layout]
    codes = jnp.pad(w, ((0, -rows % deep), (0, -columns % TILE))) + jnp.int8(1)
    k, n = codes.shape
    # Masked, so that a traced value other than -1, 0, 1 spoils no weight but its own.
    codes = codes.astype(jnp.uint8) & jnp.uint8(3)
    tiles = codes.reshape(k // deep, 4, deep // 4, n // wide, wide)
    joined = jnp.sum(jnp.left_shift(tiles, _shifts(5)), axis=1, dtype=jnp.uint8)
    order = (0, 2, 3, 1) if layout == "columns" else (0, 2, 1, 3)
    return PackedTernary(joined.transpose(order), rows, columns, layout)


def _base3(w: jax.Array) -> Base3Ternary:
    rows, columns = w.shape
    digits = jnp.pad(w, ((0, -rows % 5), (0, 0))).reshape(-1, 5, columns) + jnp.int8(1)
    joined = jnp.sum(digits.astype(jnp.uint8) * _powers(), axis=1, dtype=jnp.uint8)
    return Base3Ternary(joined, rows, columns)


def _ternary(w: jax.Array) -> jax.Array:
    return (w >= -1) & (w <= 1)


def _shifts(rank: int) -> jax.Array:
    """0, 2, 4, 6 along the second of `rank` axes."""
    return jnp.arange(0, 8, 2, dtype=jnp.uint8).reshape(1, 4, *(1,) * (rank - 2))


def _powers() -> jax.Array:
    return jnp.asarray(_POWERS)[None, :, None]
