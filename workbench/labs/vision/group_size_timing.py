"""How long a network takes with each group size, here and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.progress import Report

if TYPE_CHECKING:
    from workbench.measure.timing import Timing

ROUNDS = 7

Grouping = tuple[str, int]
"""Rule and number: ("size", 8) or ("groups", 32)."""


def label(grouping: Grouping) -> str:
    """As charts write it."""
    rule, number = grouping
    return f"{'G' if rule == 'size' else 'g'} = {number}"


def timed(
    network: str,
    size: int,
    batch: int,
    asked: Sequence[Grouping],
    report: Report,
    *,
    rounds: int = ROUNDS,
) -> dict[Grouping, Timing]:
    """A pass of each network in turns, batch norms folded, in float32; weights are random.

    Args:
        network: name of its table.
        size, batch: of the pictures.
        asked: groupings.
        report: progress; what it raises stops the timing.
        rounds: of all of them.
    """
    from workbench.measure.timing import interleaved

    found: dict[str, Any] = {}
    for place, grouping in enumerate(asked):
        report(place, len(asked), f"Building {label(grouping)}; it compiles once")
        found[label(grouping)] = _pass(network, size, batch, grouping)
    times: Mapping[str, Timing] = interleaved(found, repeats=rounds, report=report)
    return {grouping: times[label(grouping)] for grouping in asked}


def _pass(network: str, size: int, batch: int, grouping: Grouping) -> Any:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from workbench import vision

    rule, number = grouping
    regrouped = vision.constant_group_size if rule == "size" else vision.fixed_groups
    config = regrouped(vision.published(network), number)
    graph, weights = nnx.split(vision.folded(vision.new(config)))
    run = jax.jit(lambda weights, x: nnx.merge(graph, weights)(x))
    x = jnp.ones((batch, size, size, config.in_chans), jnp.float32)
    return lambda: run(weights, x)
