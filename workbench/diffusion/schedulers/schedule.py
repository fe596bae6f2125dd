"""A sampler's whole trajectory as one table, and the one step every sampler takes.

Each supported sampler is linear in the sample, the two predictions made from the model's output,
the clean image predicted a step earlier, and fresh noise. A step is therefore ten numbers: data, so
that another step count, spacing, eta or sampler reuses the compiled program.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Row(NamedTuple):
    """The numbers of one step; a schedule's table has these columns.

    x0 = x0_x x + x0_output output, clipped to [-clip, clip];  eps = eps_x x + eps_output output;
    next x = x x + x0 x0 + previous x0_of_the_step_before + eps eps + noise noise.
    """

    x0_x: float
    x0_output: float
    eps_x: float
    eps_output: float
    clip: float
    x: float
    x0: float
    previous: float
    eps: float
    noise: float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
    """What `plan(n_steps)` of a scheduler gives: a pytree of two arrays."""

    timesteps: Int[np.ndarray, " N"] | Int[Array, " N"]
    """Timestep the model is asked at, by step, falling."""
    table: Float[np.ndarray, "N 10"] | Float[Array, "N 10"]
    """One `Row` per step, float32."""

    def __len__(self) -> int:
        return self.timesteps.shape[0]

    @property
    def needs_noise(self) -> bool:
        """Whether any step adds fresh noise; concrete tables only."""
        return bool(np.any(np.asarray(self.table)[:, Row._fields.index("noise")]))

    def step(
        self,
        i: int | Int[Array, ""],
        x: Float[Array, "..."],
        output: Float[Array, "..."],
        state: Float[Array, "..."],
        noise: Float[Array, "..."] | None = None,
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`step` with row i of the table."""
        return step(jnp.asarray(self.table)[i], x, output, state, noise)


def start(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The state before the first step."""
    return jnp.zeros_like(x)


def step(
    row: Float[Array, " 10"],
    x: Float[Array, "..."],
    output: Float[Array, "..."],
    state: Float[Array, "..."],
    noise: Float[Array, "..."] | None = None,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """One sampler step: the next sample, and the clean image predicted here.

    Args:
        row: the step's row of `Schedule.table`.
        x: sample at this timestep.
        output: the model's output there, after guidance.
        state: clean image predicted a step earlier; `start(x)` at first.
        noise: standard normal; may be left out where `Schedule.needs_noise` is false.

    Raises:
        ValueError: a row of another length.
    """
    if row.shape != (len(Row._fields),):
        raise ValueError(
            f"row has shape {row.shape}; needed one row of Schedule.table, ({len(Row._fields)},)"
        )
    k = Row(*jnp.asarray(row).astype(x.dtype))
    output = output.astype(x.dtype)
    x0 = jnp.clip(k.x0_x * x + k.x0_output * output, -k.clip, k.clip)
    eps = k.eps_x * x + k.eps_output * output
    following = k.x * x + k.x0 * x0 + k.previous * state + k.eps * eps
    if noise is not None:
        following = following + k.noise * noise.astype(x.dtype)
    return following, x0


def table(rows: list[Row]) -> Float[np.ndarray, "N 10"]:
    """Rows computed in float64 as one float32 array."""
    return np.asarray(rows, np.float64).astype(np.float32)
