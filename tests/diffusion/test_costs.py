"""Counted cost of plans against the published figures of Stable Diffusion 1.5 at 64 × 64."""

from dataclasses import replace

import jax
import pytest
from flax import nnx

from workbench import shipped
from workbench.diffusion import costs, step_lists
from workbench.diffusion.arithmetic import UnitCosts
from workbench.diffusion.checkpoint import load_unet
from workbench.diffusion.plan import Plan, PlanError
from workbench.diffusion.stable_diffusion import STABLE_DIFFUSION_15
from workbench.diffusion.unet import UNetConfig

SHAPE = costs.UNetShape(UNetConfig(), 64, 64, 77)
GIGA = 1e9


@pytest.fixture
def pieces():
    return STABLE_DIFFUSION_15


def test_a_whole_pass_in_both_conventions(pieces):
    assert pieces.full.macs / GIGA == pytest.approx(401.6, abs=0.05)
    assert pieces.full.no_bmm / GIGA == pytest.approx(338.6, abs=0.05)


@pytest.mark.slow
@pytest.mark.long
def test_what_is_kept_of_stable_diffusion_is_what_is_counted():
    assert costs.unit_costs(SHAPE) == STABLE_DIFFUSION_15


def test_the_decoder_and_what_it_is_fed(pieces):
    assert pieces.decode.macs / GIGA == pytest.approx(270.9, abs=0.05)
    assert pieces.feature_bytes / costs.FLOAT_BYTES == pytest.approx(6.72e6, abs=5e3)


@pytest.mark.parametrize(("branch", "giga"), [(0, 31.6), (1, 90.1), (2, 152.7)])
def test_partial_passes(pieces, branch, giga):
    assert pieces.shallow[branch].macs / GIGA == pytest.approx(giga, abs=0.1)


def test_partial_passes_grow_with_depth_and_stay_below_a_whole_one(pieces):
    depths = [part.macs for part in pieces.shallow]
    assert len(depths) == 12
    assert depths == sorted(depths) and depths[-1] < pieces.full.macs
    assert pieces.branch_bytes[0] == 320 * 64 * 64 * 4


@pytest.mark.parametrize(
    ("branch", "interval", "speed"),
    [
        (0, 2, 1.85), (0, 3, 2.55), (0, 5, 3.80), (0, 10, 5.85),
        (1, 2, 1.63), (1, 3, 2.05), (1, 5, 2.64), (1, 10, 3.31),
        (2, 2, 1.45), (2, 3, 1.69), (2, 5, 1.98), (2, 10, 2.26),
    ],
)  # fmt: skip
def test_ideal_speed_of_uniform_lists(pieces, branch, interval, speed):
    full_steps = step_lists.uniform(50, interval)
    plan = Plan.from_full_steps(full_steps, 50, "shallow", branch=branch)
    ratio = pieces.run(Plan.full(50)).macs / pieces.run(plan).macs
    assert ratio == pytest.approx(speed, abs=0.0101)


def test_the_papers_list_saves_what_the_paper_prints(pieces):
    plan = Plan.from_full_steps(step_lists.published("paper", 50), 50, "decode", largest_group=8)
    change = pieces.run(plan).macs / pieces.run(Plan.full(50)).macs - 1
    assert 100 * change == pytest.approx(-26.7, abs=0.05)
    grouped = replace(plan, largest_group=1)
    assert pieces.run(grouped) == pieces.run(plan)


def test_layers_add_up_to_the_pass(pieces):
    """What is left is the time embedding, 320 × 1280 + 1280 × 1280, and its 22 projections."""
    rest = pieces.full.macs - sum(node.cost.macs for node in pieces.nodes)
    assert rest == 320 * 1280 + 1280 * 1280
    layer = next(node for node in pieces.nodes if node.name == "up.3.layer.2")
    inside = sum(cost.macs for cost, _ in layer.units.values())
    shortcut, projections = 640 * 320 * 4096, 2 * 320 * 320 * 4096
    assert layer.cost.macs - inside == shortcut + projections


def test_inheriting_what_another_plan_keeps_costs_the_same(pieces):
    unet = costs.abstract_unet(SHAPE.config)
    assert pieces.inherit((*unet.program.skips, "mid")) == pieces.decode
    for branch in range(unet.branches):
        assert pieces.inherit((unet.branch_name(branch),)) == pieces.shallow[branch]
    assert pieces.inherited_bytes((*unet.program.skips, "mid")) == pieces.feature_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("up.2",),
        ("down.1", "mid"),
        ("mid.layer.0.resnet",),
        ("up.3.layer.1.transformer.0.self_attention", "down.0.layer.0.resnet"),
    ],
)
def test_inheriting_is_what_the_program_leaves_out(pieces, names):
    counted = costs._count(SHAPE, ("conv_out",), names, reads_x=True)
    assert pieces.inherit(names) == counted
    assert pieces.inherit(names).macs < pieces.full.macs


def test_a_name_there_is_not_names_near_ones(pieces):
    with pytest.raises(PlanError, match=r"nothing called 'up.7' to inherit; near: up"):
        pieces.inherit(("up.7",))
    with pytest.raises(PlanError, match=r"blocks are down.0, .*, mid, up.0, "):
        pieces.inherit(("encoder",))


def test_text_is_projected_once(pieces):
    """77 tokens of 768 to keys and values of 5 × 320, 5 × 640 and 6 × 1280 channels."""
    saved = costs.text_projections(SHAPE)
    assert saved.macs == saved.no_bmm == 77 * 768 * 2 * 5 * (320 + 640) + 77 * 768 * 2 * 6 * 1280
    assert saved.macs / pieces.full.macs == pytest.approx(0.0037, abs=5e-5)


def test_a_record_gives_the_same_costs_back(pieces):
    import json

    assert UnitCosts.of_record(json.loads(json.dumps(pieces.record()))) == pieces


@pytest.mark.slow
@pytest.mark.long
def test_each_block():
    found = {name: macs / GIGA for name, macs in costs.block_costs(SHAPE).items()}
    wanted = {
        "down.1": 34.2, "down.2": 31.9, "down.3": 3.8, "mid": 6.0,
        "up.0": 12.9, "up.1": 75.8, "up.2": 83.4, "up.3": 98.8, "conv_out": 0.05,
    }  # fmt: skip
    assert found["down.0"] == pytest.approx(54.8 + 0.05, abs=0.1)  # conv_in stands in down.0
    for name, giga in wanted.items():
        assert found[name] == pytest.approx(giga, abs=0.06), name
    assert sum(found.values()) == pytest.approx(401.6, abs=0.05)


def test_plans_of_a_pipeline_scale_with_steps_and_passes(tiny, unguided):
    one = costs.full_cost(tiny.shape)
    assert costs.plan_cost(tiny).macs == pytest.approx(2 * 10 * one.macs)
    assert costs.plan_cost(unguided).macs == pytest.approx(10 * one.macs)
    assert costs.plan_cost(tiny).cache_bytes == 0
    decode = costs.plan_cost(tiny.with_plan(Plan.from_full_steps((0,), 10, "decode")))
    assert decode.cache_bytes == 2 * costs.feature_bytes(tiny.shape)
    parts = one.macs + 9 * costs.decode_cost(tiny.shape).macs
    assert decode.macs == pytest.approx(2 * parts)
    assert decode.basis == "modelled"


def test_group_memory_grows_with_the_group(tiny):
    known = costs.unit_costs(tiny.shape)
    one = known.group_bytes(1, tiny.passes, 8)
    assert known.group_bytes(8, tiny.passes, 8) == 8 * one > 8 * 8 * known.feature_bytes


@pytest.mark.slow
@pytest.mark.long
def test_a_groups_memory_is_near_what_its_program_allocates():
    """XLA's own figure for the shipped decoder, 8 steps of 8 guided pictures as one batch."""
    unet = load_unet(shipped.path("data/digits-unet/unet"))
    definition, weights = nnx.split(unet)
    rows = 8 * 8 * 2

    def parts(weights, x, t, context):
        return nnx.merge(definition, weights).encode(x, t, context)

    def decode(weights, skips, mid, t, context):
        return nnx.merge(definition, weights).decode(skips, mid, t, context)

    x, t = (
        jax.ShapeDtypeStruct((rows, 16, 16, 1), "float32"),
        jax.ShapeDtypeStruct((rows,), "int32"),
    )
    context = jax.ShapeDtypeStruct((rows, 2, 64), "float32")
    skips, mid = jax.eval_shape(parts, weights, x, t, context)
    plan = jax.jit(decode).lower(weights, skips, mid, t, context).compile().memory_analysis()
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((skips, mid)))
    told = costs.unit_costs(costs.UNetShape(unet.config, 16, 16, 2)).group_bytes(8, 2, 8)
    assert told == pytest.approx(plan.temp_size_in_bytes + held, rel=0.3)
