"""One layer of each kind, run on this machine at growing contexts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.labs.language import models
from workbench.measure import timing
from workbench.measure.timing import Timing
from workbench.progress import Report, part

if TYPE_CHECKING:
    from workbench.language.mixing import MixerConfig

ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """One layer at one context.

    Attributes:
        kind: key of the mixer.
        timing: of a pass.
        state: bytes of the state's arrays after these tokens.
    """

    kind: str
    length: int
    timing: Timing
    state: int


def make_layer(mixer: MixerConfig, width: int) -> Any:
    """One layer with its first weights, in float32."""
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.config import DecoderConfig
    from workbench.language.decoder import Layer, make_linear

    config = DecoderConfig(vocab_size=2, hidden_size=width, num_hidden_layers=1, mixers=(mixer,))
    rngs = nnx.Rngs(params=0)
    return Layer(config, 0, linear=make_linear(config), dtype=jnp.float32, rngs=rngs)


def grown(
    mixers: Mapping[str, MixerConfig],
    width: int,
    lengths: Sequence[int],
    *,
    token: bool,
    seconds: float,
    report: Report,
) -> Iterator[list[Timed]]:
    """Times a layer of each mixer at each context, by turns, until one call takes too long.

    Args:
        mixers: by key.
        token: one more token, instead of the whole text.
        seconds: a mixer goes no further once a call took half of it.
        report: called before each call that is timed.

    Yields:
        What was timed at one context.
    """
    left = dict(mixers)
    for place, length in enumerate(lengths):
        if not left:
            return
        runs = {kind: _pass(mixer, width, length, token) for kind, mixer in left.items()}
        names = {kind: models.NAMES.get(kind, getattr(left[kind], "name", kind)) for kind in left}
        found = timing.interleaved(
            {f"{names[kind]}, {length} tokens": run for kind, (run, _) in runs.items()},
            repeats=ROUNDS,
            report=part(report, place, len(lengths)),
        )
        timed = dict(zip(runs, found.values(), strict=True))
        yield [Timed(kind, length, timed[kind], runs[kind][1]) for kind in left]
        left = {kind: left[kind] for kind in left if timed[kind].median < seconds / 2}


def _pass(
    mixer: MixerConfig, width: int, length: int, token: bool
) -> tuple[Callable[[], Any], int]:
    """A call of the layer, and the bytes of its state after `length` tokens."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.mixing import Context

    context = Context(None, jnp.zeros(width) if mixer.bounded else None)
    graph, weights = nnx.split(make_layer(mixer, width))
    begun = jax.jit(lambda weights: nnx.merge(graph, weights).attn.initial_state(1, length))
    state = begun(weights)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))

    @jax.jit
    def whole(weights: Any, x: Any) -> Any:
        return nnx.merge(graph, weights)(x, None, context)[0]

    # The state is given away, as in decoding: kept, the whole cache would be copied at each call.
    @functools.partial(jax.jit, donate_argnames="state")
    def one(weights: Any, x: Any, state: Any) -> Any:
        return nnx.merge(graph, weights).step(x, state, context)

    def next_one(x: Any) -> Any:
        nonlocal state
        y, state = one(weights, x, state)
        return y, state

    if token:
        x = jax.random.normal(jax.random.key(0), (1, width))
        return functools.partial(next_one, x), size
    x = jax.random.normal(jax.random.key(0), (1, length, width))
    return functools.partial(whole, weights, x), size
