"""A mixer of one's own among the others: its steps scanned, or its parallel form."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import ConfigDict, model_serializer, model_validator

from kernels_pallas.dtypes import accumulator
from workbench.language.linear import MakeLinear
from workbench.language.mixing import NO_CONTEXT, Context, MixerConfig, State, TokenMixer
from workbench.language.own_mixer import MixerError, Parts, from_class


class OwnConfig(MixerConfig):
    """A mixer made by `workbench.language.mixer`, equal to another of the same code and settings.

    Called with settings it gives the same mixer with those: `Decay(rate=0.5)`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: ClassVar[str] = "own"
    parts: Parts

    @property
    def name(self) -> str:
        """On screen."""
        return self.parts.name

    @property
    def fingerprint(self) -> str:
        """Digest of its code and settings."""
        return self.parts.fingerprint

    def __call__(self, **settings: Any) -> OwnConfig:
        """The same mixer with other settings.

        Raises:
            MixerError: settings it does not take.
        """
        maker = self.parts.maker
        if not isinstance(maker, type):
            raise MixerError(f"{self.name}: is made of functions, which have no settings")
        return from_class(maker, {**self.parts.settings, **settings}, self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnConfig) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.parts.settings.items())
        return f"{self.name}({settings})"

    __str__ = __repr__

    @model_serializer
    def _record(self) -> dict[str, Any]:
        parts = self.parts
        return {
            "name": parts.name,
            "module": parts.module,
            "settings": dict(parts.settings),
            "fingerprint": parts.fingerprint,
        }

    @model_validator(mode="before")
    @classmethod
    def _find(cls, given: Any) -> Any:
        """The mixer a record names, where its module is loaded: a record runs no code."""
        if not isinstance(given, dict) or "fingerprint" not in given:
            return given
        return {"parts": _named(given).parts}

    def build(
        self, width: int, layer: int, *, linear: MakeLinear, eps: float, dtype: Any, rngs: Any
    ) -> Own:
        """The layer. Its weights are as its own `init` makes them, whatever `linear` is."""
        return Own(self, width, dtype=dtype, rngs=rngs)

    def state_bytes(self, width: int, length: int, cache_bytes: int = 4) -> int:
        """Bytes of what `initial` gives for one row."""
        graph, weights = nnx.split(_abstract(self, width))
        state = jax.eval_shape(lambda w: nnx.merge(graph, w).initial_state(1, length), weights)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))

    def macs(self, width: int, length: int) -> float:
        """What `cost` says; else the products in its code, those with weights left out."""
        if self.parts.cost is not None:
            return float(self.parts.cost(width, length))
        return _counted(self, width, length)


class Own(TokenMixer):
    """y_t, h_t = step(h_{t-1}, x_t); its code runs under jax's ordinary rules of promotion."""

    def __init__(self, config: OwnConfig, width: int, *, dtype: Any, rngs: Any):
        self.config, self.width, self.dtype = config, width, jnp.dtype(dtype)
        key = rngs.params()
        with _ordinary():
            params = config.parts.init(key, width)
        leaves, self.form = jax.tree_util.tree_flatten_with_path(params)
        self.names = tuple(_name(path) for path, _ in leaves)  # a Dict keeps no order
        self.weights = nnx.Dict(
            {_name(path): nnx.Param(_weight(config, path, leaf)) for path, leaf in leaves}
        )

    def __call__(
        self, x: Float[Array, "B T D"], state: State = None, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B T D"], State]:
        """`parallel`, where there is one that can; else a scan of `step`."""
        parts, segments = self.config.parts, context.segment_ids
        packs = parts.takes("parallel", "segment_ids")
        if parts.parallel is not None and state is None and (segments is None or packs):
            with _ordinary():
                y = parts.parallel(self.params(), x, *([segments] if packs else []))
            return self._output("parallel", x, y), None
        begin = self.initial_state(*x.shape[:2]) if state is None else state
        after, y = self._scan(x, begin, segments)
        return y, None if state is None else after

    def initial_state(self, batch: int, length: int) -> State:
        """What `initial` gives, or zeros [B, D]."""
        parts, wide = self.config.parts, accumulator(self.dtype)
        if parts.initial is None:
            return jnp.zeros((batch, self.width), wide)
        more = [length] if parts.takes("initial", "length") else []
        with _ordinary():
            state = jax.tree.map(jnp.asarray, parts.initial(self.params(), batch, *more))
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            if not leaf.ndim or leaf.shape[0] != batch:
                raise MixerError(
                    f"{self.config.name}.initial: {_name(path)} has shape {leaf.shape}; the first "
                    f"axis of each array of a state must be the batch, here {batch}"
                )
        return state

    def step(
        self, x: Float[Array, "B D"], state: State, context: Context = NO_CONTEXT
    ) -> tuple[Float[Array, "B D"], State]:
        """Its own."""
        name = f"{self.config.name}.step"
        with _ordinary():
            answer = self.config.parts.step(self.params(), state, x)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise MixerError(
                f"{name}: returned a {type(answer).__name__}; must return (state, y), a pair"
            )
        after, y = answer
        before_tree: Any = jax.tree.structure(state)
        after_tree: Any = jax.tree.structure(after)
        if before_tree != after_tree:
            raise MixerError(
                f"{name}: was given a state {before_tree} and returned {after_tree}; they must be "
                "alike (it must return (state, y), in this order)"
            )
        return self._output("step", x, y), jax.tree.map(self._same, state, after)

    def params(self) -> Any:
        """The weights as `init` made them: matrices in the dtype of products, vectors wide."""
        wide = accumulator(self.dtype)
        leaves = [self.weights[name][...] for name in self.names]
        cast = [leaf.astype(self.dtype if leaf.ndim > 1 else wide) for leaf in leaves]
        return jax.tree.unflatten(self.form, cast)

    def _scan(
        self, x: Float[Array, "B T D"], begin: State, segments: Int[Array, "B T"] | None
    ) -> tuple[State, Float[Array, "B T D"]]:
        batch, length, _ = x.shape
        fresh, starts = None, None
        if segments is not None:
            fresh = self.initial_state(batch, length)
            first = jnp.zeros((1, batch), bool)
            starts = jnp.concatenate([first, (segments[:, 1:] != segments[:, :-1]).T])

        def one(state: State, inputs: Any) -> tuple[State, Array]:
            token, new = inputs
            if new is not None:
                state = jax.tree.map(lambda a, b: _where(new, a, b), fresh, state)
            y, state = self.step(token, state)
            return state, y

        after, y = jax.lax.scan(one, begin, (x.swapaxes(0, 1), starts))
        return after, y.swapaxes(0, 1)

    def _output(self, part: str, x: Array, y: Any) -> Array:
        found = jnp.shape(y)
        if found != x.shape:
            raise MixerError(
                f"{self.config.name}.{part}: returned y of shape {found}; must be that of x, "
                f"{x.shape}"
            )
        return jnp.asarray(y).astype(x.dtype)

    def _same(self, before: Array, after: Any) -> Array:
        if jnp.shape(after) != before.shape:
            raise MixerError(
                f"{self.config.name}.step: was given a state of shape {before.shape} and returned "
                f"{jnp.shape(after)}; a state keeps its shape (give `initial` where zeros [B, D] "
                "are not it)"
            )
        return jnp.asarray(after).astype(before.dtype)


@contextmanager
def _ordinary() -> Iterator[None]:
    """Code of a user's own is not held to our strictness."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".") or "weights"


def _weight(config: OwnConfig, path: tuple[Any, ...], leaf: Any) -> Array:
    kind = jnp.result_type(leaf)
    if not jnp.issubdtype(kind, jnp.floating):
        raise MixerError(
            f"{config.name}.init: {_name(path)} is {kind}; every leaf must be a floating array "
            "(whole numbers are settings of the class)"
        )
    return jnp.asarray(leaf).astype(accumulator(kind))


def _where(new: Array, fresh: Array, state: Array) -> Array:
    return jnp.where(new.reshape(-1, *[1] * (state.ndim - 1)), fresh.astype(state.dtype), state)


def _named(record: dict[str, Any]) -> OwnConfig:
    name, module = record.get("name"), record.get("module")
    there = vars(sys.modules.get(str(module)) or object)
    known = [one for one in there.values() if isinstance(one, OwnConfig) and one.name == name]
    if isinstance(there.get(str(name)), type):  # made into a mixer in another file
        known.append(from_class(there[str(name)], {}))
    for found in known:
        settings = record.get("settings") or {}
        again = found(**settings) if settings else found
        if again.fingerprint == record["fingerprint"]:
            return again
    if known:
        raise ValueError(
            f"mixer {name!r} of {module} has changed since; this needs it as it was, or its "
            "weights do not mean the same"
        )
    raise ValueError(
        f"mixer {name!r} of {module} is one of your own; import its file or run its cell first"
    )


@cache
def _abstract(config: OwnConfig, width: int) -> Own:
    """The layer with shapes for weights."""
    from workbench.model_files.abstract import AnyKey

    key = AnyKey()
    key.params()  # made outside of the trace
    return nnx.eval_shape(lambda: Own(config, width, dtype=jnp.float32, rngs=key))


@cache
def _counted(config: OwnConfig, width: int, length: int) -> float:
    """All products but those with weights; a weight matrix is taken to be used once a token."""
    from workbench.measure.macs import count

    graph, weights = nnx.split(_abstract(config, width))
    x = jax.ShapeDtypeStruct((1, length, width), jnp.float32)
    found = count(lambda w, x: nnx.merge(graph, w)(x)[0], weights, x, weights=(0,))
    matrices = sum(leaf.size for leaf in jax.tree.leaves(weights) if leaf.ndim > 1)
    return max(found.total - found.no_bmm, found.total - length * matrices, 0) / length
