"""XQuant (2025, arXiv 2508.10395): a layer's input is kept, in few bits, and not keys and values.

Keys and values are made again from it at every step. The newest tokens, up to one group, stay as
they are. Codes are packed as bit planes: word i of 32 codes holds bit i of each, so that any number
of bits takes exactly that many.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float16, Int, UInt32
from pydantic import BaseModel, ConfigDict, Field

LANES = 32
SMALLEST = 2.0**-24
"""The smallest number of float16 above zero."""
Per = Literal["token", "channel"]


class XQuant(BaseModel):
    """How inputs are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(4, ge=1, le=16, description="of a code")
    group: int = Field(
        128,
        ge=LANES,
        multiple_of=LANES,
        description="values with one scale, and newest tokens kept",
    )
    latent: bool = Field(
        False,
        description="keep the input in the row spaces of the key and value weights, for few heads",
    )

    def require(self, size: int, name: str) -> None:
        """Refuses widths that groups do not divide.

        Raises:
            ValueError: names the width.
        """
        if size % self.group:
            raise ValueError(f"cache group={self.group} does not divide {name}={size}")

    def row_bytes(self, length: int, sizes: tuple[tuple[int, Per], ...]) -> int:
        """Bytes of one row after `length` tokens: packed codes, scales, newest tokens, count.

        Args:
            sizes: width and kind of scale of each thing kept.
        """
        total = 4
        for size, per in sizes:
            scales = size if per == "channel" else self.group * (size // self.group)
            codes = self.group * size * self.bits // 8
            total += blocks(length, self.group) * (codes + 4 * scales) + 4 * self.group * size
        return total


class Codes(NamedTuple):
    """Blocks of G tokens: x is about code * scale + zero.

    Attributes:
        words: bit planes of the codes.
        scale, zero: of each token and group of channels [B, N, G, D / group], or of each channel
            of a block [B, N, 1, D].
    """

    words: UInt32[Array, "B N G W bits"]
    scale: Float16[Array, "B N P Q"]
    zero: Float16[Array, "B N P Q"]


class Kept(NamedTuple):
    """Older tokens as codes, and those since the last whole block as they came."""

    old: Codes
    recent: Float[Array, "B G D"]


class KeptInputs(NamedTuple):
    """What attention keeps of a text: one thing, or one for keys and one for values.

    Attributes:
        kept: of the input.
        seen: tokens so far.
    """

    kept: tuple[Kept, ...]
    seen: Int[Array, " B"]


def blocks(length: int, group: int) -> int:
    """Whole groups of tokens in a text: what there must be room for."""
    return max(1, length // group)


def empty(
    settings: XQuant, batch: int, length: int, sizes: tuple[tuple[int, Per], ...]
) -> KeptInputs:
    """Before the first token.

    Args:
        sizes: width and kind of scale of each thing kept.
    """
    group, many = settings.group, blocks(length, settings.group)
    kept = []
    for size, per in sizes:
        places = (1, size) if per == "channel" else (group, size // group)
        scale, zero = (jnp.zeros((batch, many, *places), jnp.float16) for _ in range(2))
        words = jnp.zeros((batch, many, group, size // LANES, settings.bits), jnp.uint32)
        kept.append(Kept(Codes(words, scale, zero), jnp.zeros((batch, group, size))))
    return KeptInputs(tuple(kept), jnp.zeros(batch, jnp.int32))


def appended(
    kept: Kept, x: Float[Array, "B T D"], count: Int[Array, " B"], settings: XQuant, per: Per
) -> Kept:
    """After T more tokens: groups that are now whole become codes.

    Args:
        kept: of the first `count` tokens.
        x: what is kept of the next.
        per: what has a scale of its own.
    """
    group, (batch, new, size) = settings.group, x.shape
    started = (count % group)[:, None]
    both = jnp.concatenate([kept.recent, x.astype(kept.recent.dtype)], axis=1)
    order = jnp.arange(group + new)[None, :]
    sequence = _taken(both, jnp.where(order < started, order, order + group - started))

    most = (group - 1 + new) // group
    whole = (started + new) // group
    each = jnp.arange(most)[None, :]
    room = kept.old.words.shape[1]
    # A block that is not whole goes past the end, which drops it.
    place = (
        jnp.arange(batch)[:, None],
        jnp.where(each < whole, count[:, None] // group + each, room),
    )
    made = quantized(sequence[:, : most * group].reshape(batch, most, group, size), settings, per)
    old = Codes(*(a.at[place].set(b, mode="drop") for a, b in zip(kept.old, made, strict=True)))
    return Kept(old, _taken(sequence, whole * group + jnp.arange(group)[None, :]))


def old_part(
    state: KeptInputs, part: Int[Array, ""], size: int
) -> tuple[list[Float[Array, "B S D"]], Int[Array, "B S"], Bool[Array, "B S"]]:
    """A part of the older tokens: what is kept of them, their positions, and which are a token.

    Args:
        part: which, from 0.
        size: blocks in a part; the last one goes back where they do not come out even.
    """
    _, many, group, *_ = state.kept[0].old.words.shape
    batch, size = state.seen.shape[0], min(size, many)
    first = jnp.minimum(part * size, many - size)
    inputs = []
    for kept in state.kept:
        codes = Codes(*(lax.dynamic_slice_in_dim(a, first, size, axis=1) for a in kept.old))
        inputs.append(restored(codes).reshape(batch, size * group, -1))
    positions = first * group + jnp.arange(size * group)[None, :]
    whole = (state.seen // group * group)[:, None]
    held = (positions >= part * size * group) & (positions < whole)
    return inputs, jnp.broadcast_to(positions, held.shape), held


def old_parts(state: KeptInputs, size: int) -> Int[Array, ""]:
    """Parts of so many blocks that hold a token of any row.

    A row that has no text is stepped on beside others, past its room; it holds no more than that.
    """
    _, many, group, *_ = state.kept[0].old.words.shape
    tokens = min(size, many) * group
    held = jnp.minimum(jnp.max(state.seen) // group, many) * group
    return (held + tokens - 1) // tokens


def recent_part(
    state: KeptInputs,
) -> tuple[list[Float[Array, "B G D"]], Int[Array, "B G"], Bool[Array, "B G"]]:
    """The newest tokens, as `old_part`."""
    group = state.kept[0].recent.shape[1]
    positions = (state.seen // group * group)[:, None] + jnp.arange(group)[None, :]
    return [kept.recent for kept in state.kept], positions, positions < state.seen[:, None]


def quantized(x: Float[Array, "B N G D"], settings: XQuant, per: Per) -> Codes:
    """code = round((x - zero) / scale) in [0, 2^bits - 1]: asymmetric and uniform (section 3.1).

    Scale and zero are rounded outwards to float16 first, so that the error is half a scale at most.
    """
    top = 2**settings.bits - 1
    if per == "channel":
        lowest, highest = (f(x, axis=2, keepdims=True) for f in (jnp.min, jnp.max))
    else:
        grouped = x.reshape(*x.shape[:3], -1, settings.group)
        lowest, highest = (f(grouped, axis=4) for f in (jnp.min, jnp.max))
    outwards = 2.0**-10
    zero = (lowest - outwards * jnp.abs(lowest) - SMALLEST).astype(jnp.float16)
    reach = highest - zero.astype(jnp.float32)
    scale = (reach * (1 + outwards) / top + SMALLEST).astype(jnp.float16)
    steps = (x - _spread(zero, x.shape)) / _spread(scale, x.shape)
    codes = jnp.clip(jnp.round(steps), 0, top).astype(jnp.uint32)
    return Codes(_packed(codes, settings.bits), scale, zero)


def restored(codes: Codes) -> Float[Array, "B N G D"]:
    """code * scale + zero."""
    whole = _unpacked(codes.words).astype(jnp.float32)
    return whole * _spread(codes.scale, whole.shape) + _spread(codes.zero, whole.shape)


def _spread(scale: Float16[Array, "B N P Q"], shape: tuple[int, ...]) -> Float[Array, "B N P D"]:
    """A scale for each channel."""
    return jnp.repeat(scale.astype(jnp.float32), shape[-1] // scale.shape[-1], axis=-1)


def _taken(x: Float[Array, "B S D"], index: Int[Array, "B T"]) -> Float[Array, "B T D"]:
    return jnp.take_along_axis(x, index[:, :, None], axis=1, mode="clip")


def _packed(codes: UInt32[Array, "B N G D"], bits: int) -> UInt32[Array, "B N G W bits"]:
    lanes = codes.reshape(*codes.shape[:3], -1, LANES)
    shifts = jnp.arange(LANES, dtype=jnp.uint32).reshape(1, 1, 1, 1, LANES)
    planes = [
        jnp.sum(((lanes >> jnp.uint32(bit)) & jnp.uint32(1)) << shifts, axis=-1, dtype=jnp.uint32)
        for bit in range(bits)
    ]
    return jnp.stack(planes, axis=-1)


def _unpacked(words: UInt32[Array, "B N G W bits"]) -> UInt32[Array, "B N G D"]:
    shifts = jnp.arange(LANES, dtype=jnp.uint32).reshape(1, 1, 1, 1, LANES)
    total = jnp.zeros((*words.shape[:4], LANES), jnp.uint32)
    for bit in range(words.shape[-1]):
        total += ((words[..., bit, None] >> shifts) & jnp.uint32(1)) << jnp.uint32(bit)
    return total.reshape(*words.shape[:3], -1)
