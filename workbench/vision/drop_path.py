"""Stochastic depth: whole residual branches left out at random while training."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


def drop_path(
    branch: Float[Array, "B H W C"], rate: float, training: nnx.Rngs | None
) -> Float[Array, "B H W C"]:
    """branch / (1 - rate) or nothing, by picture (Huang et al. 2016, section 3).

    Args:
        branch: what a block adds to its input.
        rate: probability of nothing.
        training: the step's random numbers, of a stream "drop_path" or the default one; None for
            inference, where the branch is whole.
    """
    if training is None or rate == 0.0:
        return branch
    kept = jax.random.bernoulli(training.drop_path(), 1 - rate, (branch.shape[0], 1, 1, 1))
    return jnp.where(kept, branch / (1 - rate), jnp.zeros_like(branch))


def rates(largest: float, blocks: int) -> list[float]:
    """Of each block: from 0 at the first one to the largest at the last, in equal steps."""
    return [largest * i / max(blocks - 1, 1) for i in range(blocks)]
