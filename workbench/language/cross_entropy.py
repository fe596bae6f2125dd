"""Cross-entropy of next tokens in float32, without the logits of all tokens at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from workbench.language.token_data import IGNORED

LARGEST = 1 << 24
"""Logits held at once (64 MiB of float32); with more of them tokens are taken piece by piece."""

Head = Callable[[Float[Array, "... D"]], Float[Array, "... V"]]


def token_losses(logits: Float[Array, "*B V"], targets: Int[Array, "*B"]) -> Float[Array, "*B"]:
    """-log softmax(logits)[target] = logsumexp(logits) - logits[target], nats; 0 where ignored."""
    logits = logits.astype(jnp.float32)
    # Compared, not gathered: the gradient is then one pass over the logits, without a scatter.
    ids = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    chosen = jnp.sum(jnp.where(ids == targets[..., None], logits, 0.0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - chosen
    return jnp.where(targets == IGNORED, 0.0, losses)


def mean_loss(
    head: Head,
    features: Float[Array, "B T D"],
    targets: Int[Array, "B T"],
    *,
    largest: int = LARGEST,
) -> Float[Array, ""]:
    """Mean loss over the targets that count, nats a token.

    Where B T V is above `largest`, tokens go through the head in pieces, and each piece's gradient
    is taken at once, in the forward pass: no piece's logits are kept and no product is done twice.

    Args:
        head: features to logits; it may close over weights that are differentiated.
        features: what the head reads.
        targets: the tokens that follow; `IGNORED` where none is to be learnt.
        largest: logits held at once.
    """
    count = jnp.maximum(jnp.sum(targets != IGNORED), 1).astype(jnp.float32)
    width = features.shape[-1]
    vocab = jax.eval_shape(head, features[:1, :1]).shape[-1]
    tokens = targets.size
    if tokens * vocab <= largest:
        return jnp.sum(token_losses(head(features), targets)) / count
    piece = max(1, largest // vocab)
    pieces = -(-tokens // piece)
    missing = pieces * piece - tokens
    x = jnp.pad(features.reshape(tokens, width), ((0, missing), (0, 0)))
    t = jnp.pad(targets.reshape(tokens), (0, missing), constant_values=IGNORED)
    pure, weights = jax.closure_convert(head, x[:piece])
    total = _total(pure, weights, x.reshape(pieces, piece, width), t.reshape(pieces, piece))
    return total / count


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _total(head: Any, weights: Any, x: Array, targets: Array) -> Array:
    """Sum of losses, piece after piece."""

    def add(total: Array, piece: tuple[Array, Array]) -> tuple[Array, None]:
        return total + _piece_loss(head, weights, *piece), None

    return jax.lax.scan(add, jnp.zeros(()), (x, targets))[0]


def _piece_loss(head: Any, weights: Any, x: Array, targets: Array) -> Array:
    return jnp.sum(token_losses(head(x, *weights), targets))


def _forward(head: Any, weights: Any, x: Array, targets: Array) -> tuple[Array, Any]:
    gradient_of = jax.value_and_grad(partial(_piece_loss, head), argnums=(0, 1))

    def add(carry: Any, piece: tuple[Array, Array]) -> tuple[Any, Array]:
        total, before = carry
        loss, (of_weights, of_x) = gradient_of(weights, *piece)
        return (total + loss, jax.tree.map(jnp.add, before, of_weights)), of_x

    start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, weights))
    (total, of_weights), of_x = jax.lax.scan(add, start, (x, targets))
    return total, (of_weights, of_x)


def _backward(head: Any, gradients: Any, change: Array) -> tuple[Any, Any, None]:
    scaled = jax.tree.map(lambda leaf: change.astype(leaf.dtype) * leaf, gradients)
    return (*scaled, None)


_total.defvjp(_forward, _backward)
