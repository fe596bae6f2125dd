"""What a picture costs by part: text encoders, UNet and VAE, in arithmetic and in memory.

Everything here follows from shapes; `compiled_bytes` alone asks the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.diffusion.arithmetic import PartCost
from workbench.diffusion.checkpoint import TEXT_ENCODER, VAE
from workbench.diffusion.costs import (
    abstract_added,
    abstract_pass,
    abstract_unet,
    plan_cost,
    unit_costs,
)
from workbench.diffusion.images import decode_bytes
from workbench.diffusion.prompts import TextConditioning
from workbench.measure.macs import count
from workbench.model_files.precision import weight_bytes
from workbench.products import by_eigen

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

Abstract = jax.ShapeDtypeStruct
TEXT, UNET, DECODER = "text encoder", "UNet", "VAE"
"""Names of the parts, in the order they work in."""


@dataclass(frozen=True)
class PartUse:
    """One part's share of one picture.

    Args:
        macs: multiply-accumulates, attention's two products counted.
        macs_no_bmm: without those.
        weights: bytes of its weights as stored.
        working: bytes it needs beside them at about its peak, for the pictures asked for.
    """

    macs: float
    macs_no_bmm: float
    weights: int
    working: int


def part_costs(pipeline: Pipeline, pictures: int = 1) -> dict[str, PartUse]:
    """Arithmetic of one picture and memory of `pictures` together, by part that there is.

    The text encoders read a prompt, and with guidance a negative one too; the UNet follows the
    pipeline's plan; the VAE decodes once. The working memory is our estimate from shapes: parts
    work one after the other, so the largest counts (`needed_bytes`).
    """
    from workbench.diffusion.switching import stages

    found: dict[str, PartUse] = {}
    text = pipeline.conditioning
    if isinstance(text, TextConditioning):
        cost = sum((text_cost(e.config, text.length) for e in text.encoders), PartCost(0.0, 0.0))
        cost *= pipeline.passes
        weights = sum(weight_bytes(encoder) for encoder in text.encoders)
        widest = max(encoder.config.intermediate_size for encoder in text.encoders)
        found[TEXT] = PartUse(cost.macs, cost.no_bmm, weights, 4 * 4 * text.length * widest)
    units, plan = unit_costs(pipeline.shape), pipeline.plan
    run = plan_cost(pipeline)
    kept = units.kept_bytes(plan) * pipeline.passes * pictures
    group = units.group_bytes(plan.longest, pipeline.passes, pictures)
    networks = (stage.pipeline for stage in stages(pipeline))
    stored = sum(int(array.nbytes) for network in networks for array in network.weights)
    found[UNET] = PartUse(float(run.macs or 0), float(run.macs_no_bmm or 0), stored, group + kept)
    if pipeline.vae is not None:
        height, width, _ = pipeline.sample_shape
        cost = decoder_cost(pipeline.vae.config, height, width)
        working = decode_bytes(pipeline.vae.config, height, width)
        found[DECODER] = PartUse(cost.macs, cost.no_bmm, weight_bytes(pipeline.vae), working)
    return found


def needed_bytes(pipeline: Pipeline, pictures: int = 1) -> int:
    """All weights, and the working memory of the part that needs most: one works at a time."""
    parts = part_costs(pipeline, pictures).values()
    return sum(part.weights for part in parts) + max(part.working for part in parts)


@cache
def text_cost(config: Any, length: int) -> PartCost:
    """One text through one encoder."""
    graph, weights = nnx.split(TEXT_ENCODER.abstract(config))
    tokens = Abstract((1, length), jnp.int32)
    found = count(lambda w, tokens: nnx.merge(graph, w)(tokens), weights, tokens, weights=0)
    return PartCost(float(found.total), float(found.no_bmm))


@cache
def decoder_cost(config: Any, height: int, width: int) -> PartCost:
    """One latent of this height and width through a VAE's decoder."""
    graph, weights = nnx.split(VAE.abstract(config))
    latent = Abstract((1, height, width, config.latent_channels), jnp.float32)
    found = count(lambda w, z: nnx.merge(graph, w).decode(z), weights, latent, weights=0)
    return PartCost(float(found.total), float(found.no_bmm))


def compiled_bytes(pipeline: Pipeline, pictures: int = 1) -> dict[str, int]:
    """Working memory of one UNet pass and one decoding as XLA reports it after compiling.

    An estimate too, of buffers it plans beside the weights. Cost: compiles both, which takes
    seconds to minutes where they were not compiled before.
    """
    found = {UNET: _unet_bytes(pipeline, pictures)}
    if pipeline.vae is not None:
        graph, weights = nnx.split(pipeline.vae)
        latent = Abstract((1, *pipeline.sample_shape), jnp.float32)

        def decode(w: Any, z: Any) -> Any:
            return nnx.merge(graph, w).decode(z)

        found[DECODER] = _beside_weights(decode, weights, latent)
    return found


def _unet_bytes(pipeline: Pipeline, pictures: int) -> int:
    shape, batch = pipeline.shape, pictures * pipeline.passes
    graph, weights = nnx.split(abstract_unet(pipeline.config, pipeline.precision))
    _, x, context = abstract_pass(shape)
    x, context, added = jax.tree.map(
        lambda one: Abstract((batch, *one.shape[1:]), one.dtype),
        (x, context, abstract_added(shape)),
    )

    def run(w: Any, x: Any, t: Any, context: Any, added: Any) -> Any:
        return nnx.merge(graph, w).run(x, t, context, added=added)

    t, compute = Abstract((), jnp.float32), pipeline.precision.compute
    return _beside_weights(run, weights, x, t, context, added, compute=compute)


def _beside_weights(run: Callable[..., Any], *arguments: Any, compute: Any = np.float32) -> int:
    program: Any = jax.jit(run, compiler_options=by_eigen(compute))
    analysis = program.lower(*arguments).compile().memory_analysis()
    return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes)
