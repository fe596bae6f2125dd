"""What the gated delta rule costs, as formulas of its shapes: per token and head

    forward   2 C (K + V) + 3 K V + inverse + sums
    backward  C (7 K + 6 V) + 9 K V + inverse + sums

multiply-accumulates, with C tokens in a chunk. The inverse is that of a chunk's triangular system;
sums are those of log gates, where these are products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernels_pallas.costs import Cost
from kernels_pallas.gated_delta_rule.inverse import DIRECT


class _Form(NamedTuple):
    """How one form computes what the others compute otherwise.

    Args:
        whole: whether every level of an inverse is a product of whole matrices.
        sums: how often gates are summed before and in a loop, each in C^2 MACs.
        ends: MACs of a gate's gradient from the states at a chunk's ends, in units of C.
    """

    whole: bool
    sums: int
    ends: int


FORMS = {"xla": _Form(False, 2, 2), "mosaic_tpu": _Form(True, 1, 0)}
"""In plain XLA all inverses are made at once before the loops, and gates summed for them again."""


def inverse(chunk: int, whole: bool = False) -> int:
    """MACs of a chunk's inverse for each of its tokens.

    Args:
        chunk: its tokens C, a power of two.
        whole: whether every level is a product of whole matrices.
    """
    block = chunk if whole else min(DIRECT, chunk)
    macs = 2 * max(block.bit_length() - 2, 0) * block * block
    while block < chunk:
        macs, block = macs + block * block, 2 * block
    return macs


def per_token(chunk: int, key_width: int, value_width: int) -> int:
    """MACs of the forward pass for one token of one head, in chunks of at most `chunk` tokens."""
    state = key_width * value_width
    return 2 * chunk * (key_width + value_width) + 3 * state + inverse(1 << chunk.bit_length() - 1)


def forward(
    q_shape: Sequence[int],
    value_width: int,
    *,
    gated: bool = True,
    chunk: int = 32,
    form: str = "xla",
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """One call of the op; time is padded to whole chunks.

    Args:
        q_shape: [B, T, H, K]; heads of k, v, beta and gates count as repeated.
        value_width: V.
        gated: whether there are gates (segments alone make some on a TPU).
        chunk: tokens of a chunk, C.
        form: one of `FORMS`.
        size, gate_size: bytes of one element of q, k, v, and of a log gate or a strength.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    how, state = FORMS[form], key_width * value_width
    macs = 2 * chunk * (key_width + value_width) + 3 * state + inverse(chunk, how.whole)
    rows = 2 * (key_width + value_width) * size + (1 + gated) * gate_size
    return Cost(
        macs=padded * (macs + gated * how.sums * chunk * chunk),
        bytes_moved=tokens * rows + 8 * heads * state,
        transcendentals=padded * gated * how.sums * chunk,
    )


def states(
    q_shape: Sequence[int],
    value_width: int,
    *,
    gated: bool = True,
    chunk: int = 32,
    form: str = "xla",
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """The first pass of `backward` alone: inverses and the states that enter the chunks.

    Args:
        q_shape, value_width, gated, chunk, form, size, gate_size: as for `forward`.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    how, state = FORMS[form], key_width * value_width
    macs = chunk * (key_width + value_width) + 2 * state + inverse(chunk, how.whole)
    rows = (key_width + value_width) * size + (1 + gated) * gate_size
    return Cost(
        macs=padded * (macs + gated * how.sums * chunk * chunk),
        bytes_moved=tokens * rows + 4 * heads * state + _kept(padded, chunk, state),
        transcendentals=padded * gated * how.sums * chunk,
    )


def backward(
    q_shape: Sequence[int],
    value_width: int,
    *,
    gated: bool = True,
    chunk: int = 32,
    form: str = "xla",
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """Gradients of one call: `states`, and one pass in reverse.

    States and inverses go to memory and back, 8 (K V / C + C) bytes a token.

    Args:
        q_shape, value_width, gated, chunk, form, size, gate_size: as for `forward`.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    how, state = FORMS[form], key_width * value_width
    first = states(
        q_shape, value_width, gated=gated, chunk=chunk, form=form, size=size, gate_size=gate_size
    )
    macs = chunk * (6 * key_width + 5 * value_width) + 7 * state
    macs += gated * (2 * chunk * chunk + how.ends * chunk)
    rows = (4 * key_width + 3 * value_width) * size + 2 * (1 + gated) * gate_size
    return Cost(
        macs=first.macs + padded * macs,
        bytes_moved=first.bytes_moved
        + tokens * rows
        + 8 * heads * state
        + _kept(padded, chunk, state),
        transcendentals=first.transcendentals + padded * gated * chunk,
    )


def step(
    q_shape: Sequence[int],
    value_width: int,
    *,
    gated: bool = True,
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """One token of decoding: the state is read and written once.

    Args:
        q_shape: [B, H, K].
        value_width, gated, size, gate_size: as for `forward`.
    """
    batch, count, key_width = q_shape
    heads, state = batch * count, key_width * value_width
    rows = 2 * (key_width + value_width) * size + (1 + gated) * gate_size
    return Cost(
        macs=2 * heads * state,
        bytes_moved=heads * (rows + 8 * state),
        transcendentals=heads * gated,
    )


def _counts(q_shape: Sequence[int], chunk: int) -> tuple[int, int, int, int]:
    """Heads of all sequences, their tokens, those with padding, and K."""
    batch, time, count, key_width = q_shape
    heads = batch * count
    return heads, heads * time, heads * (-(-time // chunk) * chunk), key_width


def _kept(padded: int, chunk: int, state: int) -> int:
    """Bytes of every chunk's state and inverse."""
    return 4 * (padded // chunk) * (state + chunk * chunk)
