"""Low-rank adapters of a decoder's projections: LoRA, rsLoRA and DoRA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import BaseModel, ConfigDict, Field

from workbench.language.decoder import Decoder
from workbench.language.linear import Linear
from workbench.language.tasks import TokenTask
from workbench.language.token_data import Rows
from workbench.runs import digest
from workbench.training import Recipe

Where = Sequence[str] | Callable[[str], bool] | None


class Adapter(BaseModel):
    """What is learnt in place of a matrix W [in, out]: a product of two thin ones, A B.

    lora: W + (alpha / r) A B (Hu et al. 2021, arXiv 2106.09685, section 4.1). rslora: W + (alpha /
    sqrt(r)) A B, so that high ranks learn as fast (Kalajdzievski 2023, arXiv 2312.03732, eq. 3).
    dora: m V / |V| with V = W + (alpha / r) A B, |V| the norm of each output's weights, held
    constant in the backward pass, and m learnt from |W| on (Liu et al. 2024, arXiv 2402.09353,
    eq. 5 and section 4.3; which norm is its released code's).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lora", "rslora", "dora"] = Field("lora", description="how A B is added")
    rank: int = Field(8, ge=1, description="columns of A and rows of B, r")
    alpha: float = Field(16.0, gt=0, description="strength of A B")

    @property
    def scale(self) -> float:
        """What multiplies A B."""
        return self.alpha / (self.rank**0.5 if self.kind == "rslora" else self.rank)


class AdapterWeight(nnx.Param):
    """A weight of an adapter, which alone is learnt."""


class Adapted(nnx.Module):
    """A projection with an adapter; at first it gives what the projection gives.

    Args:
        linear: any projection with a `kernel` [in, out]; a ternary one rounds the adapted kernel.
        adapter: how it is adapted.
        key: of A, N(0, 1/in); B is 0.
    """

    def __init__(self, linear: Any, adapter: Adapter, key: Array):
        self.linear, self.adapter = linear, adapter
        kernel = linear.kernel[...]
        into, out = kernel.shape
        self.a = AdapterWeight(jax.random.normal(key, (into, adapter.rank)) * into**-0.5)
        self.b = AdapterWeight(jnp.zeros((adapter.rank, out)))
        if adapter.kind == "dora":
            self.magnitude = AdapterWeight(_column_norms(kernel))

    @property
    def kernel(self) -> Float[Array, "N M"]:
        """The adapted matrix."""
        kernel = self.linear.kernel[...].astype(jnp.float32)
        moved = kernel + self.adapter.scale * (self.a[...] @ self.b[...])
        if self.adapter.kind != "dora":
            return moved
        norms = jax.lax.stop_gradient(_column_norms(moved))
        return moved * (self.magnitude[...] / norms)[None]

    def __call__(self, x: Float[Array, "... N"]) -> Float[Array, "... M"]:
        """The product with the adapted matrix; thin products are used where they are the same."""
        if isinstance(self.linear, Linear) and self.adapter.kind != "dora":
            kind = self.linear.dtype
            thin = x.astype(kind) @ self.a[...].astype(kind)
            return self.linear(x) + self.adapter.scale * (thin @ self.b[...].astype(kind))
        return self.merged()(x)

    def merged(self) -> Any:
        """The plain projection with the adapted matrix."""
        linear = nnx.merge(*nnx.split(self.linear))
        linear.kernel = nnx.Param(self.kernel)
        return linear


def with_adapters(
    model: Decoder, adapter: Adapter, where: Where = None, *, key: Array | None = None
) -> Decoder:
    """The model with adapters; its own weights are shared, and it stays as it is.

    Args:
        where: last parts of the names of projections ("q_proj", "down_proj"), or a test of whole
            names ("model.layers.0.attn.q_proj"); all projections of all layers when None.
        key: of the first weights.

    Raises:
        ValueError: no projection is meant, or the model has adapters already.
    """
    key = jax.random.key(0) if key is None else key
    adapted = nnx.merge(*nnx.split(model))
    if any(isinstance(module, Adapted) for _, module in nnx.iter_modules(adapted)):
        raise ValueError("model: has adapters already; merge them first (adapters.merged)")
    places = _projections(adapted)
    chosen = {name: path for name, path in places.items() if _meant(name, where)}
    if not chosen:
        known = sorted({name.rsplit(".", 1)[-1] for name in places})
        raise ValueError(f"where={where!r}: no projection is meant; there are {', '.join(known)}")
    for number, path in enumerate(chosen.values()):
        linear = _at(adapted, path)
        _put(adapted, path, Adapted(linear, adapter, jax.random.fold_in(key, number)))
    return adapted


def merged(model: Decoder) -> Decoder:
    """The plain model with the same outputs; the one with adapters stays as it is."""
    plain = nnx.merge(*nnx.split(model))
    for path, module in list(nnx.iter_modules(plain)):
        if isinstance(module, Adapted):
            _put(plain, path, module.merged())
    return plain


@dataclass(frozen=True, eq=False)
class FineTune:
    """A task whose model is given and adapted: adapters are learnt, all else stays.

    Args:
        task: what is learnt; its configuration must be the model's.
        base: the model, without adapters.
        adapter, where: as for `with_adapters`.

    Raises:
        ValueError: a model of another configuration.
    """

    task: TokenTask
    base: Decoder
    adapter: Adapter
    where: Where = None

    def __post_init__(self) -> None:
        if self.base.config != self.task.config:
            raise ValueError("base: its configuration is not that of the task")

    @cached_property
    def fingerprint(self) -> str:
        """Of task, model and adapters."""
        weights = digest([np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(self.base))])
        names = [name for name in _projections(self.base) if _meant(name, self.where)]
        parts = (self.task.fingerprint, weights, self.adapter.model_dump_json(), *names)
        return "; ".join(parts)

    def with_recipe(self, recipe: Recipe) -> FineTune:
        """The task with batches of the recipe's size and order."""
        return FineTune(self.task.with_recipe(recipe), self.base, self.adapter, self.where)

    def init(self, key: Array) -> nnx.State:
        """The adapters' first weights."""
        model = with_adapters(self.base, self.adapter, self.where, key=key)
        return nnx.state(model, AdapterWeight)

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        model = with_adapters(self.base, self.adapter, self.where)
        parts: tuple[Any, ...] = nnx.split(model, AdapterWeight, ...)
        graph, _, frozen = parts
        return graph, frozen

    def model(self, params: nnx.State) -> Decoder:
        """The decoder with these adapters."""
        made: Decoder = nnx.merge(self._parts[0], params, self._parts[1])
        return made

    def loss(self, params: nnx.State, batch: Rows, key: Array) -> tuple[Array, dict[str, Array]]:
        """The task's."""
        return self.task.loss_of(self.model(params), batch), {}

    def weight(self, batch: Rows) -> Array:
        """The task's."""
        return self.task.weight(batch)

    def batch(self, step: int) -> Rows:
        """The task's."""
        return self.task.batch(step)

    def evaluate(self, params: nnx.State) -> dict[str, float]:
        """The task's."""
        return self.task.evaluate_model(self.model(params))


def _column_norms(kernel: Float[Array, "N M"]) -> Float[Array, " M"]:
    return jnp.sqrt(jnp.sum(jnp.square(kernel.astype(jnp.float32)), axis=0))


def _projections(model: Decoder) -> dict[str, tuple[Any, ...]]:
    """Name and path of each projection in the layers: what has a matrix for its kernel."""
    found = {}
    for path, module in nnx.iter_modules(model):
        kernel = getattr(module, "kernel", None)
        if path[:2] == ("model", "layers") and getattr(kernel, "ndim", 0) == 2:
            found[".".join(map(str, path))] = path
    return dict(sorted(found.items()))


def _meant(name: str, where: Where) -> bool:
    if where is None:
        return True
    if callable(where):
        return where(name)
    return name.rsplit(".", 1)[-1] in ((where,) if isinstance(where, str) else where)


def _at(model: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        model = model[step] if isinstance(step, int) else getattr(model, step)
    return model


def _put(model: Any, path: tuple[Any, ...], module: Any) -> None:
    owner, last = _at(model, path[:-1]), path[-1]
    if isinstance(last, int):
        owner[last] = module
    else:
        setattr(owner, last, module)
