"""Measured latencies of networks and of their parts on the device jax uses.

Batch norms and layer scales are folded, weights are arguments of the compiled program, and every
call is warm. What is timed together takes turns, so that drift of the machine favours nobody.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from workbench.measure.timing import Timing, interleaved
from workbench.progress import Report, silent
from workbench.vision.counts import called_layers, pictures
from workbench.vision.efficiency.counting import layers_of
from workbench.vision.efficiency.timed import GroupTimed, Part, Timed
from workbench.vision.folding import folded
from workbench.vision.initial import new
from workbench.vision.layers import Conv
from workbench.vision.networks import ConvNet, NetworkConfig

REPEATS = 7
LEAST = 0.02
"""Seconds of a sample: shorter calls are repeated within it."""
Clock = Literal["wall", "processor"]
"""Of one call: time that passed, or time of all processors together, which other programs on the
machine lengthen less."""
GROUP_SHAPES = ((56, 64), (28, 128), (14, 256), (7, 512))
"""Pixels a side and channels of the stages of ConvFirst's stand-in, at 224 pixels."""
GROUP_SIZES = (1, 2, 4, 8, 16, 32)


def ready(network: NetworkConfig | ConvNet) -> ConvNet:
    """A network as it is timed: fresh weights where it has none, norms folded."""
    return folded(network if isinstance(network, ConvNet) else new(network))


def time_networks(
    networks: Mapping[str, ConvNet],
    *,
    batch: int = 1,
    pixels: int | None = None,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> list[Timed]:
    """Whole networks by turns.

    Args:
        networks: by name, as `ready` makes them.
        batch: pictures.
        pixels: of a picture's side; each network's own where none is given.
        repeats: rounds.
        clock: whose seconds.
        report: called before each sample; it stops the timing by raising.

    Raises:
        ValueError: pictures a network cannot read, or a batch below 1.
    """
    _check(batch)
    shapes = {name: pictures(net.config, pixels, batch) for name, net in networks.items()}
    calls = {name: _call(net, shapes[name].shape) for name, net in networks.items()}
    timed = interleaved(calls, repeats=repeats, min_time=LEAST, report=report)
    return [
        _row(name, batch, shapes[name].shape[1], "network", name, found, clock)
        for name, found in timed.items()
    ]


def time_parts(
    name: str,
    network: ConvNet,
    *,
    part: Part = "layer",
    batch: int = 1,
    pixels: int | None = None,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> list[Timed]:
    """Every layer or block alone, at the shapes it has in the network.

    Parts alike in kind, weights and shapes are timed once. Their sum is not the network's time:
    alone, each reads and writes its maps whole and finds its weights in the cache.

    Args:
        name: of the network.
        network: as `ready` makes it.
        part: "layer" or "block".
        batch, pixels, repeats, clock, report: as in `time_networks`.

    Raises:
        ValueError: pictures the network cannot read, a batch below 1, or a part it has none of.
    """
    _check(batch)
    found = _parts(network, part, batch, pixels)
    if not found:
        raise ValueError(f"part={part!r}: {name} has none")
    calls: dict[str, Callable[[], Any]] = {}
    first: dict[Any, str] = {}
    for own, (module, shape, key) in found.items():
        if key not in first:
            first[key] = own
            calls[own] = _call(module, shape)
    timed = interleaved(calls, repeats=repeats, min_time=LEAST, report=report)
    side = pictures(network.config, pixels, batch).shape[1]
    return [
        _row(name, batch, side, part, own, timed[first[key]], clock)
        for own, (_, _, key) in found.items()
    ]


def time_groups(
    *,
    batch: int = 8,
    shapes: Sequence[tuple[int, int]] = GROUP_SHAPES,
    sizes: Sequence[int] = GROUP_SIZES,
    repeats: int = REPEATS,
    clock: Clock = "wall",
    report: Report = silent,
) -> list[GroupTimed]:
    """A convolution of 3 x 3 taps at every group size, from depthwise to dense.

    Args:
        batch: pictures.
        shapes: pixels a side and channels.
        sizes: channels of a group; dense is added. Those that do not divide the channels are left
            out.
        repeats, clock, report: as in `time_networks`.
    """
    _check(batch)
    calls, cases = {}, {}
    for pixels, channels in shapes:
        for size in [*(s for s in sizes if s < channels and channels % s == 0), channels]:
            case = (pixels, channels, size)
            groups = channels // size
            made = Conv(channels, channels, 3, groups=groups, dtype=jnp.float32, rngs=nnx.Rngs(0))
            label = f"{pixels} × {pixels} × {channels}, groups of {size}"
            calls[label], cases[label] = _call(made, (batch, pixels, pixels, channels)), case
    timed = interleaved(calls, repeats=repeats, min_time=LEAST, report=report)
    return [
        GroupTimed(pixels, channels, batch, size, *_spread(one, clock), len(one.samples))
        for (pixels, channels, size), one in ((cases[k], timed[k]) for k in calls)
    ]


def time_blocks(
    blocks: Mapping[str, Callable[[Any], Any]],
    shape: Sequence[int],
    *,
    repeats: int = REPEATS,
    report: Report = silent,
) -> dict[str, Timing]:
    """Blocks on the same input by turns.

    Args:
        blocks: modules, norms folded, or functions.
        shape: [B, H, W, C] of the input.
        repeats, report: as in `time_networks`.
    """
    calls = {name: _call(block, shape) for name, block in blocks.items()}
    return interleaved(calls, repeats=repeats, min_time=LEAST, report=report)


def _parts(
    network: ConvNet, part: Part, batch: int, pixels: int | None
) -> dict[str, tuple[Any, tuple[int, ...], Any]]:
    """Module, input and what it is told apart by, of each part by its name."""
    modules = {".".join(map(str, path)): node for path, node in nnx.iter_graph(network)}
    calls = {
        one.name: one for one in called_layers(network, pictures(network.config, pixels, batch))
    }
    if part == "layer":
        return {
            name: (modules[name], one.inputs, _key(modules[name], one.inputs, one.outputs))
            for name, one in calls.items()
        }
    found: dict[str, tuple[Any, tuple[int, ...], Any]] = {}
    inside: dict[str, list[str]] = {}
    for layer in layers_of(network, size=pixels):
        if layer.block:
            inside.setdefault(layer.block, []).append(layer.name)
    for name, layers in inside.items():
        first, last = calls[layers[0]].inputs, calls[layers[-1]].outputs
        found[name] = (modules[name], first, _key(modules[name], first, last))
    return found


def _key(module: Any, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Any:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.state(module))
    shapes = tuple((jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves)
    settings = tuple(
        str(getattr(module, name, "")) for name in ("groups", "stride", "skips", "act")
    )
    return type(module).__name__, inputs, outputs, shapes, settings


def _call(module: Callable[[Any], Any], shape: Sequence[int]) -> Callable[[], Any]:
    """One compiled call on random input, its weights given as arguments."""
    x = jax.random.normal(jax.random.key(0), tuple(shape), jnp.float32)
    if not isinstance(module, nnx.Module):
        return functools.partial(jax.jit(module), x)
    graph, weights = nnx.split(module)
    return functools.partial(jax.jit(lambda w, x: nnx.merge(graph, w)(x)), weights, x)


def _row(
    network: str, batch: int, pixels: int, part: Part, name: str, found: Timing, clock: Clock
) -> Timed:
    spread = _spread(found, clock)
    return Timed(network, batch, pixels, part, name, *spread, len(found.samples))


def _spread(found: Timing, clock: Clock) -> tuple[float, float, float]:
    """Median, lowest and highest of the repeats."""
    samples = found.samples if clock == "wall" else found.cpu_samples
    return statistics.median(samples), min(samples), max(samples)


def _check(batch: int) -> None:
    if not (math.isfinite(batch) and batch >= 1):
        raise ValueError(f"batch={batch} must be at least 1")
