"""How the next token is chosen from its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, UInt32
from pydantic import BaseModel, ConfigDict, Field


class Sampling(BaseModel):
    """How tokens are drawn: softmax(logits / temperature), of the likeliest alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="spread of the draws; 0 takes the likeliest"
    )
    top_k: int | None = Field(None, ge=1, description="draw from this many tokens at most")
    top_p: float | None = Field(
        None, gt=0, le=1, description="draw from the likeliest whose probabilities sum to this"
    )


GREEDY = Sampling()
"""The likeliest token, always."""


class Draws(NamedTuple):
    """A draw for each row. A row's tokens depend on its own numbers alone, whatever its batch.

    Attributes:
        temperature: of the row.
        top_k: 0: all.
        top_p: 1: all.
        seed: of the row's text.
        place: of the token in what is written, from 0.
    """

    temperature: Float32[Array | np.ndarray, " B"]
    top_k: Int[Array | np.ndarray, " B"]
    top_p: Float32[Array | np.ndarray, " B"]
    seed: UInt32[Array | np.ndarray, " B"]
    place: Int[Array | np.ndarray, " B"]

    @classmethod
    def of(cls, rows: Sequence[tuple[Sampling, int, int]]) -> Draws:
        """Draws of rows of a sampling, a seed and a place."""
        return cls(
            np.array([sampling.temperature for sampling, _, _ in rows], np.float32),
            np.array([sampling.top_k or 0 for sampling, _, _ in rows], np.int32),
            np.array([sampling.top_p or 1 for sampling, _, _ in rows], np.float32),
            np.array([seed for _, seed, _ in rows], np.uint32),
            np.array([place for _, _, place in rows], np.int32),
        )


def chosen(logits: Float[Array, "B V"], draws: Draws) -> Int[Array, " B"]:
    """Each row's next token, by the largest of logits / temperature + Gumbel noise.

    The noise is a function of the row's seed and place.
    """
    logits = logits.astype(jnp.float32)
    likeliest = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    cold = draws.temperature == 0

    def drawn() -> Int[Array, " B"]:
        scaled = logits / jnp.where(cold, 1, draws.temperature)[:, None]
        limited = jnp.any((draws.top_k > 0) | (draws.top_p < 1))
        scaled = jax.lax.cond(limited, lambda: _limited(scaled, draws), lambda: scaled)
        noise = jax.vmap(lambda seed, place: _noise(seed, place, logits.shape[1]))
        found = scaled + noise(draws.seed, draws.place)
        return jnp.where(cold, likeliest, jnp.argmax(found, axis=-1).astype(jnp.int32))

    return jax.lax.cond(jnp.all(cold), lambda: likeliest, drawn)


def _limited(scaled: Float[Array, "B V"], draws: Draws) -> Float[Array, "B V"]:
    """-inf where a token is outside of the top_k, or of the top_p (Holtzman et al. 2019, eq. 4).

    The sum is of probabilities within the top_k. Tokens as likely as the last one stay.
    """
    vocab = scaled.shape[1]
    ordered = -jnp.sort(-scaled, axis=-1)
    many = jnp.where(draws.top_k > 0, jnp.minimum(draws.top_k, vocab), vocab)
    inside = jnp.arange(vocab)[None, :] < many[:, None]
    shares = jax.nn.softmax(jnp.where(inside, ordered, -jnp.inf), axis=-1)
    before = jnp.cumsum(shares, axis=-1) - shares
    inside &= (before < draws.top_p[:, None]) | (draws.top_p >= 1)[:, None]
    last = jnp.sum(inside, axis=-1) - 1  # the likeliest is always inside
    least = jnp.take_along_axis(ordered, jnp.maximum(last, 0)[:, None], axis=-1)
    return jnp.where(scaled >= least, scaled, -jnp.inf)


def _noise(seed: UInt32[Array, ""], place: Int[Array, ""], vocab: int) -> Float[Array, " V"]:
    return jax.random.gumbel(jax.random.fold_in(jax.random.key(seed), place), (vocab,))
