"""What a UNet takes besides an image, a timestep and a context, where its form has it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.unet.layers import dense, sinusoid


class AddedConditions(NamedTuple):
    """SDXL's conditions beside the context (Podell et al. 2023, section 2.2)."""

    pooled: Float[Array, "B P"]
    """One vector for the whole prompt."""
    time_ids: Float[Array, "B 6"]
    """Original height and width, crop top and left, target height and width; pixels."""


class Residuals(NamedTuple):
    """What a ControlNet adds to the encoder's result (Zhang et al. 2023, section 3.1)."""

    skips: tuple[Float[Array, "B _ _ _"], ...]
    """One for each skip, in order of pushing."""
    mid: Float[Array, "B h w E"]


class AddedEmbedding(nnx.Module):
    """Two dense layers over the pooled prompt and a sinusoid of each size."""

    def __init__(self, inputs: int, outputs: int, *, dtype: Any, rngs: nnx.Rngs):
        self.linear_1 = dense(inputs, outputs, dtype=dtype, rngs=rngs)
        self.linear_2 = dense(outputs, outputs, dtype=dtype, rngs=rngs)
        self.dtype = dtype

    def __call__(
        self, added: AddedConditions, wave_width: int, *, freq_shift: int, flip_sin_to_cos: bool
    ) -> Float[Array, "B E"]:
        """The embedding, to be added to that of the timestep.

        Args:
            added: pooled prompt and sizes.
            wave_width: channels of each size's sinusoid.
            freq_shift: as of the timestep's.
            flip_sin_to_cos: as of the timestep's.
        """
        batch = added.time_ids.shape[0]
        waves = sinusoid(
            added.time_ids.astype(jnp.float32).reshape(-1),
            wave_width,
            freq_shift=freq_shift,
            flip_sin_to_cos=flip_sin_to_cos,
        ).reshape(batch, -1)
        both = jnp.concatenate([added.pooled.astype(self.dtype), waves.astype(self.dtype)], axis=-1)
        return self.linear_2(nnx.silu(self.linear_1(both)))
