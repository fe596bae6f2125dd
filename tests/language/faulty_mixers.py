"""One sound mixer, and others that differ from it in a single fault."""

import jax
import jax.numpy as jnp


class Sound:
    """h_t = a h_{t-1} + x_t; y_t = W^T h_t."""

    def __init__(self, rate: float = 0.9):
        self.rate = rate

    def init(self, key, width):
        return {"w": jax.random.normal(key, (width, width)) * width**-0.5}

    def step(self, params, state, x):
        state = self.rate * state + x
        return state, state @ params["w"]

    def parallel(self, params, x):
        t = jnp.arange(x.shape[1])
        lag = t[:, None] - t[None, :]
        decay = jnp.where(lag >= 0, self.rate ** jnp.maximum(lag, 0), 0.0).astype(x.dtype)
        return jnp.einsum("ts,bsd->btd", decay, x) @ params["w"]


class Peeks(Sound):
    """Sees the next token."""

    def parallel(self, params, x):
        later = jnp.concatenate([x[:, 1:], jnp.zeros_like(x[:, :1])], axis=1)
        return super().parallel(params, x) + 0.1 * later


class StepDiffers(Sound):
    """Forgets less, token by token."""

    def step(self, params, state, x):
        state = 0.91 * state + x
        return state, state @ params["w"]


class NotANumber(Sound):
    """Its outputs are fine, its gradients are not: the slope of a root that is left out."""

    def step(self, params, state, x):
        state, y = super().step(params, state, x)
        return state, self.guarded(y)

    def parallel(self, params, x):
        return self.guarded(super().parallel(params, x))

    def guarded(self, y):
        return y + jnp.where(y > 1e9, jnp.sqrt(-1 - y * y), 0.0)


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, gradient: (3 * gradient,))


class WrongGradient(Sound):
    """A custom gradient that is another function's."""

    def step(self, params, state, x):
        return super().step(params, state, doubled(x))

    def parallel(self, params, x):
        return super().parallel(params, doubled(x))


class HalfState(Sound):
    """Adds up in the dtype of products."""

    parallel = None

    def initial(self, params, batch):
        return jnp.zeros((batch, params["w"].shape[0]), params["w"].dtype)

    def step(self, params, state, x):
        state = (0.999 * state + x * x).astype(state.dtype)
        return state, state @ params["w"]


class Explodes(Sound):
    """A gate that is not held below 1."""

    parallel = None

    def step(self, params, state, x):
        state = state * jnp.exp(x / 10) + x
        return state, state @ params["w"]


class MixesRows(Sound):
    """What one text sees depends on those beside it."""

    parallel = None

    def step(self, params, state, x):
        state = 0.9 * state + x - x.mean(axis=0, keepdims=True)
        return state, state @ params["w"]


class KeepsAll(Sound):
    """A state that grows with the text: all inputs, and how many there are."""

    parallel = None

    def initial(self, params, batch, length):
        width = params["w"].shape[0]
        return {"seen": jnp.zeros((batch, length, width)), "count": jnp.zeros((batch,), jnp.int32)}

    def step(self, params, state, x):
        seen, count = state["seen"], state["count"]
        here = jnp.arange(seen.shape[1]) == count[:, None]
        seen = jnp.where(here[..., None], x[:, None], seen)
        weight = jnp.exp(-(count[:, None] - jnp.arange(seen.shape[1])).clip(0) / 4.0)
        y = jnp.einsum("bt,btd->bd", weight.astype(x.dtype), seen.astype(x.dtype)) @ params["w"]
        return {"seen": seen, "count": count + 1}, y
