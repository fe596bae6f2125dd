"""What gated linear attention costs, as formulas of its shapes: per token and head

    forward   C V + 2 K V + scores + sums
    backward  2 C V + 5 K V + 3 scores + 2 sums + what the gates' gradients take

multiply-accumulates, with C tokens in a chunk. Scores and sums of gates depend on the scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kernels_pallas.costs import Cost


class _Scheme(NamedTuple):
    """MACs per token and head, as functions of a chunk's tokens C and the key width K.

    Args:
        scores: of the scores inside a chunk.
        sums: of the sums of log gates, where these are matrix products.
        exponentials: per token and head.
    """

    scores: Callable[[int, int], int]
    sums: Callable[[int, int], int]
    exponentials: Callable[[int, int], int]


def _block(chunk: int) -> int:
    return min(chunk, 16)


def _between(c: int, k: int) -> int:
    """Scores of sub-blocks with the keys of earlier ones."""
    return k * (c - _block(c)) // 2


def _levels(c: int) -> int:
    """Levels at which the tokens of a block of C, a power of two, part."""
    return c.bit_length() - 1


SCHEMES = {
    "none": _Scheme(lambda c, k: c * k, lambda c, k: 0, lambda c, k: 0),
    "masked": _Scheme(lambda c, k: c * k, lambda c, k: c * c, lambda c, k: c),
    "one_level": _Scheme(lambda c, k: c * k, lambda c, k: c * k, lambda c, k: k),
    "two_level": _Scheme(
        lambda c, k: _block(c) * k + _between(c, k), lambda c, k: _block(c) * k, lambda c, k: k
    ),
    "exact": _Scheme(
        lambda c, k: _levels(_block(c)) * _block(c) * k + _between(c, k),
        lambda c, k: (_levels(_block(c)) + 2) * _block(c) * k,
        lambda c, k: (_levels(_block(c)) + 2) * k,
    ),
    "levels": _Scheme(
        lambda c, k: (_levels(c) + 1) * c * k, lambda c, k: 0, lambda c, k: (_levels(c) + 2) * k
    ),
}
"""No gates; one for all channels; per channel as `intra` names them; the way of "auto" for strong
gates; and that without sub-blocks, its sums no products, as the TPU form has it."""


def forward(
    q_shape: Sequence[int],
    value_width: int,
    *,
    scheme: str = "one_level",
    chunk: int = 32,
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """One call of the op; time is padded to whole chunks.

    Args:
        q_shape: [B, T, H, K]; heads of k and v count as repeated.
        value_width: V.
        scheme: one of `SCHEMES`.
        chunk: tokens of a chunk, C.
        size, gate_size: bytes of one element of q, k, v, and of a log gate.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    at, state = SCHEMES[scheme], key_width * value_width
    macs = chunk * value_width + 2 * state
    macs += at.scores(chunk, key_width) + at.sums(chunk, key_width)
    rows = 2 * (key_width + value_width) * size + _gates(scheme, key_width) * gate_size
    return Cost(
        macs=padded * macs,
        bytes_moved=tokens * rows + 8 * heads * state,
        transcendentals=padded * at.exponentials(chunk, key_width),
    )


def backward(
    q_shape: Sequence[int],
    value_width: int,
    *,
    scheme: str = "one_level",
    chunk: int = 32,
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """Gradients of one call: a pass for the states that enter the chunks, and one in reverse.

    The states go to memory and back, 8 K V / C bytes a token.

    Args:
        q_shape, value_width, scheme, chunk, size, gate_size: as for `forward`.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    at, state, gates = SCHEMES[scheme], key_width * value_width, _gates(scheme, key_width)
    macs = 2 * chunk * value_width + 5 * state + 2 * chunk * gates
    macs += 3 * at.scores(chunk, key_width) + 2 * at.sums(chunk, key_width)
    read = (3 * key_width + 3 * value_width) * size + 2 * gates * gate_size
    written = (2 * key_width + value_width) * size + gates * gate_size
    states = 8 * state * (padded // chunk) + 12 * heads * state
    return Cost(
        macs=padded * macs,
        bytes_moved=tokens * (read + written) + states,
        transcendentals=2 * padded * at.exponentials(chunk, key_width),
    )


def states(
    q_shape: Sequence[int],
    value_width: int,
    *,
    scheme: str = "one_level",
    chunk: int = 32,
    size: int = 4,
    gate_size: int = 4,
) -> Cost:
    """The first pass of `backward` alone: the states that enter the chunks, written to memory.

    Args:
        q_shape, value_width, scheme, chunk, size, gate_size: as for `forward`.
    """
    heads, tokens, padded, key_width = _counts(q_shape, chunk)
    state, gates = key_width * value_width, _gates(scheme, key_width)
    read = (key_width + value_width) * size + gates * gate_size
    return Cost(
        macs=padded * state,
        bytes_moved=tokens * read + 4 * state * (padded // chunk) + 4 * heads * state,
        transcendentals=padded * SCHEMES[scheme].exponentials(chunk, key_width),
    )


def step(q_shape: Sequence[int], value_width: int, *, size: int = 4, gate_size: int = 4) -> Cost:
    """One token of decoding with gates per channel: the state is read and written once.

    Args:
        q_shape: [B, H, K].
        value_width, size, gate_size: as for `forward`.
    """
    batch, count, key_width = q_shape
    heads = batch * count
    rows = 2 * (key_width + value_width) * size + key_width * gate_size
    return Cost(
        macs=heads * key_width * value_width,
        bytes_moved=heads * (rows + 8 * key_width * value_width),
        transcendentals=heads * key_width,
    )


def _counts(q_shape: Sequence[int], chunk: int) -> tuple[int, int, int, int]:
    """Heads of all sequences, their tokens, those with padding, and K."""
    batch, time, count, key_width = q_shape
    heads = batch * count
    return heads, heads * time, heads * (-(-time // chunk) * chunk), key_width


def _gates(scheme: str, key_width: int) -> int:
    """Gates of one token and head."""
    return {"none": 0, "masked": 1}.get(scheme, key_width)
