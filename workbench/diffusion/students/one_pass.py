"""One encoder pass on noise, K decoder passes in one batch, and what they make in closed form.

TiUE (Li et al., CVPR 2025, arXiv 2505.21960): the encoder sees the first timestep only, so no
prediction waits for a sample of the steps before it, and the sampler's loop collapses:

    x_k = s_k z + sum over j <= k of w_kj o_j,   z0 = x_K.

With a step x' = a x + b o of the sampler, s' = a s, w'_j = a w_j for the steps before and b for
this one. Where a model predicts noise, these are the S and E of z0 = S z + sum E_k e_k; written
with the model's own output o they hold for predicted velocities and images too, and stay finite
where the first timestep holds no signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from workbench.diffusion.schedulers import Row, Schedule, Scheduler
from workbench.diffusion.unet import UNet2DCondition


@dataclass(frozen=True)
class OnePass:
    """The samples of a deterministic run whose predictions are all known, as one linear form.

    Attributes:
        timesteps: what the decoder is told in each pass; the encoder is told the first.
        noise: s_k, weight of the noise z in the sample after each step; the last is S.
        outputs: w_kj, weight of prediction j in the sample after step k; the last row is E.
        eps: of each step, how its predicted noise follows from the sample before it and the
            prediction: two numbers.
    """

    timesteps: tuple[float, ...]
    noise: tuple[float, ...]
    outputs: tuple[tuple[float, ...], ...]
    eps: tuple[tuple[float, float], ...]

    @property
    def passes(self) -> int:
        """Decoder passes, K."""
        return len(self.timesteps)

    @cached_property
    def _before(self) -> tuple[np.ndarray, np.ndarray]:
        """The form of the sample before each step."""
        noise = np.array([1.0, *self.noise[:-1]])
        outputs = np.vstack([np.zeros((1, self.passes)), np.array(self.outputs)[:-1]])
        return noise, outputs

    def samples(
        self, z: Float[Array, "B H W C"], outputs: Float[Array, "K B H W C"]
    ) -> Float[Array, "K B H W C"]:
        """x_k, the sample after each step."""
        return _linear(self.noise, self.outputs, z, outputs)

    def clean(
        self, z: Float[Array, "B H W C"], outputs: Float[Array, "K B H W C"]
    ) -> Float[Array, "B H W C"]:
        """z0 = S z + sum E_k o_k."""
        return _linear(self.noise[-1:], self.outputs[-1:], z, outputs)[0]

    def predicted_noises(
        self, z: Float[Array, "B H W C"], outputs: Float[Array, "K B H W C"]
    ) -> Float[Array, "K B H W C"]:
        """e_k: the prediction itself for a model of noise, else what it says with its sample."""
        of_sample, of_output = (np.array(column) for column in zip(*self.eps, strict=True))
        noise, before = self._before
        return _linear(
            of_sample * noise, of_sample[:, None] * before + np.diag(of_output), z, outputs
        )


def one_pass(scheduler: Scheduler, passes: int) -> OnePass:
    """The linear form of a sampler's run of K steps.

    Args:
        scheduler: DDIM's kind: a step reads the sample and the prediction, nothing else.
        passes: K.

    Raises:
        ValueError: K the sampler cannot make, or steps that add noise, clip, or remember.
    """
    if passes < 1:
        raise ValueError(f"passes={passes}: needed at least 1 decoder pass")
    schedule = scheduler.plan(passes)
    kind = type(scheduler).__name__
    fault = _unlike_ddim(schedule)
    if fault:
        raise ValueError(
            f"scheduler {kind} {fault}; a one-pass sampler needs steps like DDIM's, that read the "
            "sample and the prediction alone"
        )
    rows = [Row(*row) for row in np.asarray(schedule.table, np.float64).tolist()]
    s, w = 1.0, np.zeros(passes)
    noise, outputs = [], []
    for k, row in enumerate(rows):
        carried = row.x + row.x0 * row.x0_x + row.eps * row.eps_x
        s, w = carried * s, carried * w
        w[k] = row.x0 * row.x0_output + row.eps * row.eps_output
        noise.append(s)
        outputs.append(tuple(w.tolist()))
    return OnePass(
        tuple(np.asarray(schedule.timesteps, np.float64).tolist()),
        tuple(noise),
        tuple(outputs),
        tuple((row.eps_x, row.eps_output) for row in rows),
    )


def predictions(
    unet: UNet2DCondition,
    z: Float[Array, "B H W C"],
    timesteps: Sequence[float],
    context: Float[Array, "B T D"] | None = None,
    added: Any = None,
) -> Float[Array, "K B H W O"]:
    """Dec(Enc(z, t_1, c), t_k, c) for every k: one encoder pass, K decoder passes in one batch.

    Args:
        unet: any of its form; as it is trained, a student.
        z: noise.
        timesteps: t_1 to t_K, the first of which is the encoder's.
        context: what attention reads.
        added: SDXL's pooled prompt and sizes.
    """
    passes, batch = len(timesteps), z.shape[0]
    first = jnp.float32(timesteps[0])
    features = unet.encode(z, first, context, added=added)
    tiled = partial(jax.tree.map, lambda a: jnp.tile(a, (passes, *(1 for _ in a.shape[1:]))))
    skips, mid = tiled(features)
    t = jnp.repeat(jnp.asarray(np.array(timesteps, np.float32)), batch)
    found = unet.decode(skips, mid, t, tiled(context), added=tiled(added))
    return found.reshape(passes, batch, *found.shape[1:])


def _unlike_ddim(schedule: Schedule) -> str:
    """What of a run is no linear form of noise and predictions; empty where all is."""
    if schedule.needs_noise:
        return "adds noise at its steps"
    if np.isfinite(schedule.column("clip")).any():
        return "clips the predicted image (clip_sample)"
    remembers = ("anchor", "past_1", "past_2", "past_3", "push", "hold")
    if any(schedule.column(name).any() for name in remembers):
        return "remembers earlier steps"
    if schedule.start_scale != 1 or (schedule.column("input_scale") != 1).any():
        return "scales the sample before the model reads it"
    return ""


def _linear(noise: Any, outputs: Any, z: Array, predicted: Array) -> Array:
    """Rows of weights of z, and of the predictions, as one product."""
    weights = np.concatenate([np.asarray(noise)[:, None], np.asarray(outputs)], axis=1)
    values = jnp.concatenate([z[None], predicted]).reshape(predicted.shape[0] + 1, -1)
    made = jnp.asarray(weights.astype(np.float32)) @ values
    return made.reshape(weights.shape[0], *z.shape)
