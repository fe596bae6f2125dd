"""Published tables have their published parameters and arithmetic."""

import jax.numpy as jnp
import pytest

from tests.vision.state_dicts import STATE_DICTS
from workbench import vision
from workbench.model_files import keys
from workbench.model_files.abstract import abstract
from workbench.vision.architectures import tables
from workbench.vision.efficiency import counted
from workbench.vision.networks import build, network_of

# Millions of parameters and, where a figure is to hand, GMAC at 224 pixels, 1,000 classes.
PUBLISHED = {
    "mobilenetv1_100": (4.232, 0.569),
    "mobilenetv2_100": (3.505, 0.301),
    "mobilenetv3_large_100": (5.483, 0.217),
    "mobilenetv3_small_100": (2.543, 0.057),
    "efficientnet_b0": (5.289, 0.386),
    "efficientnetv2_s": (21.458, None),
    "convnext_atto": (3.696, 0.547),
    "convnext_femto": (5.218, None),
    "convnext_tiny": (28.589, 4.456),
    "resnet50": (25.557, 4.089),
    "resnext50_32x4d": (25.029, 4.230),
}


FAST = ("mobilenetv1_100", "mobilenetv3_small_100", "convnext_atto", "resnext50_32x4d")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in PUBLISHED]
)
def test_parameters_and_arithmetic(name):
    millions, billions = PUBLISHED[name]
    config = vision.published(name)
    assert round(vision.parameters(config) / 1e6, 3) == millions
    if billions is not None:
        assert round(vision.macs(config, size=224) / 1e9, 3) == billions


@pytest.mark.parametrize("name", STATE_DICTS)
def test_a_file_has_as_many_tensors_as_timms(name):
    """Each batch norm has a count of batches in timm's file, which nothing here reads."""
    tensors = keys.file_shapes(abstract(build, vision.published(name), dtype=jnp.float32))
    norms = sum(key.endswith("running_mean") for key in tensors)
    assert len(tensors) + norms == STATE_DICTS[name]


def test_our_conv_first_network():
    """The block's arithmetic at each stage, and the whole."""
    config = vision.published("our_conv_first")
    layers = vision.layer_costs(config, size=224)
    assert round(vision.parameters(config) / 1e6, 2) == 10.35
    assert round(sum(layer.macs for layer in layers) / 1e9, 2) == 1.71
    for stage, millions in enumerate((117.2, 110.0, 106.4, 104.6)):
        inside = [c.macs for c in layers if c.name.startswith(f"stages.{stage}.blocks.1.")]
        assert round(sum(inside) / 1e6, 1) == millions


# Depths and widths of our ConvFirst family, and of its skeleton in numbers below.
FAMILY = {
    "our_conv_first_small": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "our_conv_first": ((2, 3, 8, 2), (64, 128, 256, 512)),
    "our_conv_first_large": ((3, 3, 9, 3), (96, 192, 384, 768)),
}


def by_hand(depths, widths, size=224, classes=1000):
    """Weights and multiply-accumulates, added up from the shapes; a batch norm has 2 C weights."""
    pixels, before = (size // 4) ** 2, widths[0]
    weights = 3 * 16 * before + 2 * before
    macs = pixels * 3 * 16 * before
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            pixels //= 4
            weights += 4 * before * width + 2 * width
            macs += pixels * 4 * before * width
        taps, pointwise = 9 * 8 * width, 2 * width * 4 * width
        weights += depth * (taps + pointwise + 2 * (width + 4 * width + width))
        macs += depth * pixels * (taps + pointwise)
        before = width
    return weights + before * classes + classes, macs + before * classes


@pytest.mark.parametrize("name", FAMILY)
def test_a_family_of_ours_is_counted_as_by_hand(name):
    weights, macs = by_hand(*FAMILY[name])
    assert counted.parameters(name) == weights
    assert counted.operations(name) == 2 * macs
    rows = vision.published(name).rows()
    assert [(row.repeats, row.channels) for row in rows] == list(zip(*FAMILY[name], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_what_ships_as_counted_is_what_is_built(name):
    config = vision.published(name)
    assert (vision.parameters(config), vision.macs(config, size=224)) == by_hand(*FAMILY[name])


def test_the_sizes_of_the_family_are_steps():
    """Each is 2.1 to 2.6 times the one before; our_mbconv has the middle one's stages."""
    costs = [counted.operations(name) for name in FAMILY]
    assert [round(cost / 2e9, 2) for cost in costs] == [0.8, 1.71, 4.5]
    mbconv = vision.published("our_mbconv")
    assert [row.channels for row in mbconv.rows()] == [64, 128, 256, 512]


def test_fewer_classes_and_grey_pictures():
    config = vision.published("mobilenetv2_100", num_classes=10, in_chans=1)
    whole = vision.parameters(vision.published("mobilenetv2_100"))
    assert whole - vision.parameters(config) == 990 * 1281 + 2 * 9 * 32


def test_a_table_is_its_own_record():
    for name, config in tables().items():
        assert config.architecture == name
        assert network_of(config.record()) == config


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r"'convnext_tinny' is not known.*mean convnext_tiny\?"):
        vision.published("convnext_tinny")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"kind": "vit"}, "kind='vit' is not a network"),
        ({"kind": "resnet", "stages": []}, "stages="),
        (
            {"kind": "resnet", "stages": [{"kind": "conv_first", "channels": 0}]},
            r"stages.0.conv_first.channels=0",
        ),
        (
            {"kind": "resnet", "stages": [{"kind": "conv_norm", "channels": 8, "kernel": 2}]},
            "kernel=2 must be odd",
        ),
        (
            {
                "kind": "resnet",
                "stages": [{"kind": "conv_first", "channels": 8, "group_size": 8, "groups": 1}],
            },
            "group_size=8 and groups=1: give one of them",
        ),
    ],
)
def test_a_wrong_table(record, message):
    with pytest.raises(ValueError, match=message):
        network_of(record)
