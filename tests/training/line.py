"""A small regression that the training tests share, also in processes of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workbench.training import Recipe


class Line:
    """Fits y = sum(x) with noise in the loss, so that randomness shows in the weights."""

    fingerprint = "line"

    def __init__(self, poison: int = 0) -> None:
        self.poison = poison

    def init(self, key: Any) -> Any:
        return {"w": jax.random.normal(key, (4, 3)), "b": jnp.zeros((3,))}

    def loss(self, params: Any, batch: Any, key: Any) -> Any:
        x, y = batch
        noise = 0.01 * jax.random.normal(key, y.shape)
        error = x @ params["w"] + params["b"][None, :] - y + noise
        return jnp.mean(error**2), {"mae": jnp.mean(jnp.abs(error))}

    def batch(self, step: int) -> Any:
        draw = np.random.default_rng(step)
        x = draw.normal(size=(16, 4)).astype(np.float32)
        y = np.repeat(x.sum(1, keepdims=True), 3, axis=1)
        if self.poison and step + 1 == self.poison:
            y = y * np.float32(np.nan)
        return x, y

    def evaluate(self, params: Any) -> dict[str, float]:
        return {"bias": float(jnp.abs(params["b"]).max())}


RECIPE = Recipe(
    steps=20,
    learning_rate=0.03,
    warmup=3,
    ema_decay=0.9,
    weight_decay=0.01,
    log_every=1,
    checkpoint_every=5,
)


def silent(done: int, total: int, note: str = "") -> None:
    """No report."""
