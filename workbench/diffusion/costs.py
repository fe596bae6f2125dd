"""What a sampling plan computes and keeps, counted without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.diffusion.arithmetic import NodeCost, PartCost, UnitCosts
from workbench.diffusion.checkpoint import DIT, UNET
from workbench.diffusion.dit import DiT, DiTConfig
from workbench.diffusion.unet.added import AddedConditions
from workbench.diffusion.unet.config import SIZES, UNetConfig
from workbench.diffusion.unet.model import UNet2DCondition
from workbench.diffusion.unet.program import OUTPUT
from workbench.diffusion.unet.winograd import transform_kernels
from workbench.measure.cost import Cost
from workbench.measure.macs import MacCount, count
from workbench.model_files.precision import FLOAT32, Precision

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

Abstract = jax.ShapeDtypeStruct
Config = UNetConfig | DiTConfig
FLOAT_BYTES = 4


@dataclass(frozen=True)
class UNetShape:
    """A model with the sizes of what goes through it: all that its cost depends on."""

    config: Config
    height: int
    width: int
    tokens: int


def abstract_pass(
    shape: UNetShape,
) -> tuple[UNet2DCondition | DiT, Abstract, Abstract]:
    """A model, a sample and a context of one picture, as shapes."""
    unet = abstract_unet(shape.config)
    x = Abstract((1, shape.height, shape.width, shape.config.in_channels), jnp.float32)
    if isinstance(shape.config, DiTConfig):
        return unet, x, Abstract((1,), jnp.int32)
    context = Abstract((1, shape.tokens, shape.config.cross_attention_dim), jnp.float32)
    return unet, x, context


def abstract_added(shape: UNetShape) -> AddedConditions | None:
    """Pooled text and sizes, where the UNet takes them."""
    if not isinstance(shape.config, UNetConfig) or not shape.config.pooled_width:
        return None
    pooled: Any = Abstract((1, shape.config.pooled_width), jnp.float32)
    sizes: Any = Abstract((1, SIZES), jnp.float32)
    return AddedConditions(pooled, sizes)


@cache
def abstract_unet(config: Config, precision: Precision = FLOAT32) -> UNet2DCondition | DiT:
    """The UNet or transformer of a configuration with shapes in place of weights."""
    part = DIT if isinstance(config, DiTConfig) else UNET
    model: UNet2DCondition | DiT = part.abstract(config, dtype=precision)
    if precision.transformed is not None and isinstance(model, UNet2DCondition):
        transform_kernels(model, *precision.transformed)
    return model


def _count(
    shape: UNetShape, wanted: Sequence[str], given: Sequence[str], *, reads_x: bool
) -> PartCost:
    """Cost of computing `wanted` when the values of `given` are at hand."""
    unet, x, context = abstract_pass(shape)
    graph, weights = nnx.split(unet)
    t = Abstract((), jnp.float32)
    values = _node_shapes(shape, tuple(given))

    def run(weights: Any, x: Any, t: Any, context: Any, values: Any, added: Any) -> Any:
        model, given = nnx.merge(graph, weights), x if reads_x else None
        return model.run(given, t, context, wanted=tuple(wanted), given=values, added=added)

    found: MacCount = count(run, weights, x, t, context, values, abstract_added(shape), weights=0)
    return PartCost(float(found.total), float(found.no_bmm))


@cache
def _node_shapes(shape: UNetShape, names: tuple[str, ...]) -> dict[str, Abstract]:
    """Shapes of named intermediates for one sample."""
    if not names:
        return {}
    unet, x, context = abstract_pass(shape)
    graph, weights = nnx.split(unet)
    t = Abstract((), jnp.float32)

    def run(weights: Any, x: Any, t: Any, context: Any, added: Any) -> Any:
        return nnx.merge(graph, weights).run(x, t, context, wanted=names, added=added)

    return jax.eval_shape(run, weights, x, t, context, abstract_added(shape))


@cache
def full_cost(shape: UNetShape) -> PartCost:
    """One whole pass."""
    return _count(shape, (OUTPUT,), (), reads_x=True)


@cache
def decode_cost(shape: UNetShape) -> PartCost:
    """Up blocks and output only: a step between key steps."""
    return _count(shape, (OUTPUT,), abstract_unet(shape.config).encoder_outputs, reads_x=False)


@cache
def shallow_cost(shape: UNetShape, branch: int) -> PartCost:
    """DeepCache's partial pass at a branch."""
    name = abstract_unet(shape.config).branch_name(branch)
    return _count(shape, (OUTPUT,), (name,), reads_x=True)


@cache
def block_costs(shape: UNetShape) -> dict[str, float]:
    """Multiply-accumulates of each block, in execution order."""
    unet = abstract_unet(shape.config)
    costs: dict[str, float] = {}
    before = 0.0
    for name in (*unet.block_names(), OUTPUT):
        total = _count(shape, (name,), (), reads_x=True).macs
        costs[name] = total - before
        before = total
    return costs


@cache
def node_costs(shape: UNetShape) -> tuple[NodeCost, ...]:
    """Every layer and every residual branch in it, counted in one trace by their scopes."""
    unet, x, context = abstract_pass(shape)
    graph, weights = nnx.split(unet)

    def run(weights: Any, x: Any, t: Any, context: Any, added: Any) -> Any:
        return nnx.merge(graph, weights).run(x, t, context, added=added)

    found = count(
        run, weights, x, Abstract((), jnp.float32), context, abstract_added(shape), weights=0
    )

    def inside(name: str) -> PartCost:
        sides = (found.by_scope, found.no_bmm_by_scope)
        macs, no_bmm = (
            float(sum(n for path, n in side.items() if name in path.split("/"))) for side in sides
        )
        return PartCost(macs, no_bmm)

    blocks = {name: block for block, names in unet.program.blocks.items() for name in names}
    nodes = unet.program.nodes
    shapes = _node_shapes(shape, tuple(n for node in nodes for n in (node.name, *node.units)))
    return tuple(
        NodeCost(
            node.name,
            blocks.get(node.name, node.name),
            node.inputs,
            inside(node.name),
            _bytes(shapes[node.name]),
            {unit: (inside(unit), _bytes(shapes[unit])) for unit in node.units},
        )
        for node in nodes
    )


@cache
def text_projections(shape: UNetShape) -> PartCost:
    """Keys and values of the context in every cross-attention, for one sample.

    Published counts, and those of this module, hold them in every pass. A run that computes them
    once (`Pipeline.reuse_text`) saves this much at each pass but the first.
    """
    unet, _, context = abstract_pass(shape)
    graph, weights = nnx.split(unet)

    def run(weights: Any, context: Any) -> Any:
        return nnx.merge(graph, weights).text_keys_values(context)

    found = count(run, weights, context, weights=0)
    return PartCost(float(found.total), float(found.no_bmm))


@cache
def feature_bytes(shape: UNetShape) -> int:
    """Bytes of all encoder features and the middle block's output, for one sample."""
    names = abstract_unet(shape.config).encoder_outputs
    return sum(_bytes(value) for value in _node_shapes(shape, names).values())


def _bytes(value: Abstract) -> int:
    return int(np.prod(value.shape)) * FLOAT_BYTES


@cache
def unit_costs(shape: UNetShape) -> UnitCosts:
    """Every piece a plan is made of."""
    unet = abstract_unet(shape.config)
    branches = range(unet.branches)
    kept = [unet.branch_name(branch) for branch in branches]
    return UnitCosts(
        full_cost(shape),
        decode_cost(shape),
        tuple(shallow_cost(shape, branch) for branch in branches),
        feature_bytes(shape),
        tuple(_bytes(_node_shapes(shape, (name,))[name]) for name in kept),
        max(_bytes(value) for value in _node_shapes(shape, unet.program.up_layers).values()),
        node_costs(shape),
    )


def plan_cost(pipeline: Pipeline) -> Cost:
    """Modelled cost of one image under the pipeline's plan, UNet only.

    The text's keys and values count at every step, as in published figures; a pipeline that
    projects the text once computes `text_projections` less at each pass but the first.
    """
    from workbench.diffusion.switching import stages

    total, kept = PartCost(0.0, 0.0), 0
    for stage in stages(pipeline):
        shape = replace(pipeline.shape, config=stage.pipeline.config)
        costs = unit_costs(shape)
        total += costs.run(stage.plan) * pipeline.passes
        kept = max(kept, costs.kept_bytes(stage.plan) * pipeline.passes)
    return Cost(
        macs=total.macs, macs_no_bmm=total.no_bmm, cache_bytes=float(kept), basis="modelled"
    )
