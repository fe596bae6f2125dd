"""What may be dropped, what goes with it, how much is left: against BK-SDM's published forms."""

import numpy as np
import pytest

from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.counting import blocks, count_of, count_without, parameters_of
from workbench.diffusion.assembly.dropping import DropError, droppable, kept
from workbench.diffusion.assembly.presets import PRESETS, dropped_by
from workbench.diffusion.costs import UNetShape
from workbench.diffusion.digits.recipe import UNET as DIGITS
from workbench.diffusion.unet import UNetConfig
from workbench.diffusion.unet.config import CROSS_DOWN, CROSS_UP

STABLE = UNetConfig()
FULL, SMALL = UNetShape(STABLE, 64, 64, 77), UNetShape(DIGITS, 16, 16, 4)

# Exact counts of this form; the model card gives them in billions, rounded up.
PUBLISHED = {"base": (579_384_964, 0.58), "small": (482_346_884, 0.49), "tiny": (323_384_964, 0.33)}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_of_stable_diffusion_are_the_published_forms(preset):
    config = assemble(STABLE, dropped_by(STABLE, preset)).config
    changes = {"layers_per_block": 1, "mid_block_type": None}
    if preset == "base":
        del changes["mid_block_type"]
    if preset == "tiny":
        changes |= {
            "block_out_channels": (320, 640, 1280),
            "down_block_types": (CROSS_DOWN,) * 3,
            "up_block_types": (CROSS_UP,) * 3,
        }
    assert config == UNetConfig(**{**dict(STABLE), **changes})


@pytest.mark.parametrize("preset", PRESETS)
def test_counts_at_full_size(preset):
    exact, billions = PUBLISHED[preset]
    assert parameters_of(assemble(STABLE, dropped_by(STABLE, preset)).config) == exact
    assert np.ceil(exact / 1e7) / 100 == billions


@pytest.mark.slow
def test_multiply_accumulates_at_full_size():
    counts = {p: count_without(FULL, dropped_by(STABLE, p)) for p in PRESETS}
    assert {p: round(c.macs / 1e9, 1) for p, c in counts.items()} == {
        "base": 261.5, "small": 255.4, "tiny": 242.8,
    }  # fmt: skip
    assert {p: round(c.macs_no_bmm / 1e9, 1) for p, c in counts.items()} == {
        "base": 223.7, "small": 217.6, "tiny": 205.0,
    }  # fmt: skip


def test_sources_are_those_of_the_public_code():
    sources = assemble(STABLE, dropped_by(STABLE, "tiny")).sources
    for up in range(3):
        for place, theirs in ((0, 0), (1, 2)):
            for kind in ("resnets", "attentions"):
                ours = f"up_blocks.{up}.{kind}.{place}"
                assert sources[ours] == f"up_blocks.{up + 1}.{kind}.{theirs}"
    assert sources["up_blocks.0.upsamplers.0"] == "up_blocks.1.upsamplers.0"
    rest = {ours: theirs for ours, theirs in sources.items() if not ours.startswith("up_blocks")}
    assert all(ours == theirs for ours, theirs in rest.items())


def test_features_are_the_ends_of_blocks():
    pairs = assemble(STABLE, dropped_by(STABLE, "tiny")).features
    assert pairs == (
        ("down.0.downsample", "down.0.downsample"),
        ("down.1.downsample", "down.1.downsample"),
        ("down.2.layer.0", "down.2.layer.1"),
        ("up.0.upsample", "up.1.upsample"),
        ("up.1.upsample", "up.2.upsample"),
        ("up.2.layer.1", "up.3.layer.2"),
    )


@pytest.mark.slow
def test_presets_of_the_shipped_model_shrink_in_turn():
    counts = [count_of(SMALL)]
    counts += [count_without(SMALL, dropped_by(DIGITS, preset)) for preset in PRESETS]
    assert [c.parameters for c in counts] == [3_198_113, 2_971_745, 2_390_849, 929_985]
    assert sorted((c.macs for c in counts), reverse=True) == [c.macs for c in counts]


def test_blocks_add_up_to_the_whole():
    whole, found = count_of(SMALL), blocks(SMALL)
    time = 64 * 256 + 256 + 256 * 256 + 256  # the time embedding stands in no layer
    assert sum(b.count.parameters for b in found) == whole.parameters - time
    assert sum(b.count.macs for b in found) == whole.macs - 64 * 256 - 256 * 256
    assert {b.name for b in found if b.droppable} <= set(droppable(DIGITS))


@pytest.mark.parametrize("name", droppable(DIGITS))
def test_what_may_go_leaves_a_smaller_unet(name):
    assembly = assemble(DIGITS, [name])
    assert parameters_of(assembly.config) < parameters_of(DIGITS)
    assert None not in assembly.sources.values()


def test_naming_either_side_is_the_same():
    assert kept(STABLE, ["down.1.layer.1"]) == kept(STABLE, ["up.2.layer.1"])
    assert kept(STABLE, ["down.3"]) == kept(STABLE, ["up.0", "down.3"])


@pytest.mark.parametrize(
    ("config", "names", "says"),
    [
        (DIGITS, ["down.9"], "nothing called 'down.9' to drop; near: down.2"),
        (DIGITS, ["down.2.layer.0"], "down.2.layer.0 cannot be dropped: it changes the width"),
        (STABLE, ["up.2.layer.0"], "up.2.layer.0 cannot be dropped: it reads"),
        (DIGITS, ["down.2"], "mid is 96 channels wide .* drop mid too"),
        (STABLE, ["down.1"], "down.1 cannot be dropped while down.3, inside it, stays"),
        (DIGITS, ["down.0", "down.1", "down.2"], "the last stage to go"),
        (STABLE, ["down.3.layer.0", "down.3.layer.1"], "down.3 cannot lose 2 of its 2 layers"),
        (
            DIGITS,
            ["mid", "down.1.transformers", "down.2", "up.1.transformers"],
            "Nothing that stays would read the context",
        ),
    ],
)
def test_what_cannot_be_dropped_says_why_in_a_line(config, names, says):
    with pytest.raises(DropError, match=says) as found:
        kept(config, names)
    assert "\n" not in str(found.value)


def test_a_unet_too_small_for_a_preset_says_so():
    one = UNetConfig(
        block_out_channels=(320,), down_block_types=(CROSS_DOWN,), up_block_types=(CROSS_UP,)
    )
    with pytest.raises(ValueError, match="the last stage to go"):
        dropped_by(one, "tiny")
    with pytest.raises(ValueError, match="preset must be one of base, small, tiny"):
        dropped_by(STABLE, "micro")
