"""Rotary positions (Su et al. 2021, arXiv 2104.09864), with the scalings of longer contexts."""

from __future__ import annotations

import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator


class LinearScaling(BaseModel):
    """Positions over a factor (Chen et al. 2023, arXiv 2306.15595, eq. 4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rope_type: Literal["linear"] = "linear"
    factor: float = Field(ge=1, description="how much longer texts are than those trained on")

    def scaled(self, frequencies: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        """Every frequency over the factor."""
        return frequencies / self.factor


class Llama3Scaling(BaseModel):
    """Slow frequencies over a factor, fast ones kept, a straight line between (LLaMA 3.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rope_type: Literal["llama3"] = "llama3"
    factor: float = Field(ge=1, description="how much longer texts are than those trained on")
    low_freq_factor: float = Field(gt=0, description="turns in a first text, below which: slow")
    high_freq_factor: float = Field(gt=0, description="turns in a first text, above which: fast")
    original_max_position_embeddings: int = Field(ge=1, description="longest text trained on")

    @model_validator(mode="after")
    def _ordered(self) -> Llama3Scaling:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor={self.low_freq_factor} must be below "
                f"high_freq_factor={self.high_freq_factor}"
            )
        return self

    def scaled(self, frequencies: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        """f ((1 - s) / factor + s), s from 0 to 1 with the turns f makes in a first text."""
        turns = self.original_max_position_embeddings * frequencies / (2 * math.pi)
        low, high = self.low_freq_factor, self.high_freq_factor
        share = np.clip((turns - low) / (high - low), 0, 1)
        return frequencies * ((1 - share) / self.factor + share)


Scaling = LinearScaling | Llama3Scaling


def frequencies(
    width: int, theta: float, scaling: Scaling | None = None
) -> Float64[np.ndarray, " N"]:
    """Radians a position for each of width / 2 pairs: theta^(-2 i / width) (section 3.2.2).

    Raises:
        ValueError: a head's width that is odd.
    """
    if width % 2:
        raise ValueError(f"a head of width {width} cannot be turned in pairs; needed an even width")
    found = theta ** (-np.arange(0, width, 2) / width)
    return found if scaling is None else scaling.scaled(found)


def rotated(
    x: Float[Array, "B T H K"],
    positions: Int[Array, "B T"],
    frequencies: Float64[np.ndarray, " N"],
) -> Float[Array, "B T H K"]:
    """Each pair (x_i, x_{i + K/2}) turned by position * frequency_i (eq. 34, halves as pairs).

    Args:
        x: queries or keys.
        positions: of their tokens.
        frequencies: of `frequencies`.

    Returns:
        In the dtype of `x`; angles, sines and products are float32.
    """
    each = jnp.asarray(frequencies, jnp.float32)[None, None, None, :]
    angles = positions[:, :, None, None].astype(jnp.float32) * each
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    # Halves exchanged by a reversal, which XLA fuses; joined again from two they are slow on CPU.
    halves = x.astype(jnp.float32).reshape(*x.shape[:-1], 2, -1)
    signed = jnp.stack([-sine, sine], axis=-2)
    turned = halves * cosine[..., None, :] + jnp.flip(halves, axis=-2) * signed
    return turned.reshape(x.shape).astype(x.dtype)
