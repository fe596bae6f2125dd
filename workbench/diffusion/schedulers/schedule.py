"""A sampler's whole trajectory as one table, and the one step every sampler takes.

Each supported sampler is linear in the sample, the two predictions made from the model's output, a
few values remembered from earlier steps, and fresh noise. A step is therefore a row of numbers:
data, so that another step count, spacing, eta or sampler reuses the compiled program.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

REMEMBERED = 3
"""Earlier values a step can read: as many as the fourth-order multistep of PNDM needs."""


class Row(NamedTuple):
    """The numbers of one step; a schedule's table has these columns.

    The model reads `input_scale` x. With its output,
    x0 = x0_x x + x0_output output, clipped to [-clip, clip];  eps = eps_x x + eps_output output;
    next x = x x + x0 x0 + eps eps + noise noise + anchor anchor + past_1 m_1 + .. + past_3 m_3.

    m_1 is the latest value remembered. After a step with `push` 1, kept_x x + kept_output output
    becomes m_1; after one with `hold` 1, x becomes the anchor.
    """

    x0_x: float
    x0_output: float
    eps_x: float
    eps_output: float
    input_scale: float = 1.0
    clip: float = np.inf
    x: float = 0.0
    x0: float = 0.0
    eps: float = 0.0
    noise: float = 0.0
    anchor: float = 0.0
    past_1: float = 0.0
    past_2: float = 0.0
    past_3: float = 0.0
    kept_x: float = 0.0
    kept_output: float = 0.0
    push: float = 0.0
    hold: float = 0.0


class State(NamedTuple):
    """What a sampler remembers between steps.

    Args:
        past: values kept from earlier steps, the latest first.
        anchor: an earlier sample that a step may start from again.
    """

    past: Float[Array, "3 ..."]
    anchor: Float[Array, "..."]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
    """What `plan(n_steps)` of a scheduler gives: a pytree."""

    timesteps: Num[np.ndarray, " N"] | Num[Array, " N"]
    """Timestep the model is asked at, by step; whole numbers for most samplers."""
    table: Float[np.ndarray, "N C"] | Float[Array, "N C"]
    """One `Row` per step, float32."""
    start_scale: float = 1.0
    """Standard deviation of the noise the first step starts from."""

    def __len__(self) -> int:
        return self.timesteps.shape[0]

    def column(self, name: str) -> Float[np.ndarray, " N"]:
        """One column of the table, by its name in `Row`; concrete tables only."""
        return np.asarray(self.table)[:, Row._fields.index(name)]

    @property
    def needs_noise(self) -> bool:
        """Whether any step adds fresh noise; concrete tables only."""
        return bool(np.any(self.column("noise")))

    def scaled(self, i: int | Int[Array, ""], x: Float[Array, "..."]) -> Float[Array, "..."]:
        """What the model reads at step i."""
        return model_input(jnp.asarray(self.table)[i], x)

    def step(
        self,
        i: int | Int[Array, ""],
        x: Float[Array, "..."],
        output: Float[Array, "..."],
        state: State,
        noise: Float[Array, "..."] | None = None,
    ) -> tuple[Float[Array, "..."], State]:
        """`step` with row i of the table."""
        return step(jnp.asarray(self.table)[i], x, output, state, noise)


def start(x: Float[Array, "..."]) -> State:
    """The state before the first step."""
    return State(jnp.zeros((REMEMBERED, *x.shape), x.dtype), jnp.zeros_like(x))


def model_input(row: Float[Array, " C"], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The sample in the scale the model was trained on: `input_scale` x."""
    return jnp.asarray(row)[Row._fields.index("input_scale")].astype(x.dtype) * x


def step(
    row: Float[Array, " C"],
    x: Float[Array, "..."],
    output: Float[Array, "..."],
    state: State,
    noise: Float[Array, "..."] | None = None,
) -> tuple[Float[Array, "..."], State]:
    """One sampler step: the next sample, and what later steps remember of this one.

    Args:
        row: the step's row of `Schedule.table`.
        x: sample at this timestep.
        output: the model's output there, after guidance.
        state: of the step before; `start(x)` at first.
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
    following = k.x * x + k.x0 * x0 + k.eps * eps + k.anchor * state.anchor
    following = following + k.past_1 * state.past[0]
    following = following + k.past_2 * state.past[1] + k.past_3 * state.past[2]
    if noise is not None:
        following = following + k.noise * noise.astype(x.dtype)
    kept = k.kept_x * x + k.kept_output * output
    pushed = jnp.concatenate([kept[None], state.past[:-1]])
    past = jnp.where(k.push > 0, pushed, state.past)
    return following, State(past, jnp.where(k.hold > 0, x, state.anchor))


def table(rows: list[Row]) -> Float[np.ndarray, "N C"]:
    """Rows computed in float64 as one float32 array."""
    return np.asarray(rows, np.float64).astype(np.float32)
