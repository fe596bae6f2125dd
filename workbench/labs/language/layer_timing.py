"""One layer of each kind, run on this machine at growing contexts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.labs.language import models
from workbench.measure import timing
from workbench.measure.timing import Timing
from workbench.progress import Report, part

ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """One layer at one context.

    Attributes:
        timing: of a pass.
        state: bytes of the state's arrays after these tokens.
    """

    kind: str
    length: int
    timing: Timing
    state: int


def make_layer(kind: str, width: int) -> Any:
    """One layer with its first weights, in float32.

    Raises:
        ValueError: a kind there is not here.
    """
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.decoder import Layer, make_linear

    config = models.layer(kind, width)
    if config is None:
        raise ValueError(f"{models.NAMES.get(kind, kind)} is not among the mixers here")
    rngs = nnx.Rngs(params=0)
    return Layer(config, 0, linear=make_linear(config), dtype=jnp.float32, rngs=rngs)


def grown(
    kinds: Sequence[str],
    width: int,
    lengths: Sequence[int],
    *,
    token: bool,
    seconds: float,
    report: Report,
) -> Iterator[list[Timed]]:
    """Times each kind at each context, the kinds in turns, until one call takes too long.

    Args:
        token: one more token, instead of the whole text.
        seconds: a kind goes no further once a call took half of it.
        report: called before each call that is timed.

    Yields:
        What was timed at one context.
    """
    left = list(kinds)
    for place, length in enumerate(lengths):
        runs = {kind: _pass(kind, width, length, token) for kind in left}
        if not runs:
            return
        found = timing.interleaved(
            {f"{models.NAMES[kind]}, {length} tokens": run for kind, (run, _) in runs.items()},
            repeats=ROUNDS,
            report=part(report, place, len(lengths)),
        )
        timed = dict(zip(runs, found.values(), strict=True))
        yield [Timed(kind, length, timed[kind], runs[kind][1]) for kind in left]
        left = [kind for kind in left if timed[kind].median < seconds / 2]


def _pass(kind: str, width: int, length: int, token: bool) -> tuple[Callable[[], Any], int]:
    """A call of the layer, and the bytes of its state after `length` tokens."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.mixing import Context

    mixing = models.mixer(kind, width)
    assert mixing is not None, "only kinds that are here are timed"
    context = Context(None, jnp.zeros(width) if mixing.bounded else None)
    graph, weights = nnx.split(make_layer(kind, width))
    state = nnx.merge(graph, weights).attn.initial_state(1, length)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))

    @jax.jit
    def whole(weights: Any, x: Any) -> Any:
        return nnx.merge(graph, weights)(x, None, context)[0]

    @jax.jit
    def one(weights: Any, x: Any, state: Any) -> Any:
        return nnx.merge(graph, weights).step(x, state, context)

    if token:
        x = jax.random.normal(jax.random.key(0), (1, width))
        return functools.partial(one, weights, x, state), size
    x = jax.random.normal(jax.random.key(0), (1, length, width))
    return functools.partial(whole, weights, x), size
