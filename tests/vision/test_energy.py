"""The energy model against its formula, and networks as shapes against the networks built."""

import math

import pytest

from tests.vision.test_group_size import MOBILENET, MOBILENET_GROUPS, RESNEXT
from workbench import vision
from workbench.vision.conv_shapes import ConvShape, Outline
from workbench.vision.energy import Prices, imbalance, knee, spent
from workbench.vision.group_size_arms import CHANNELS, SIZES, arms, pairs


@pytest.fixture(scope="module")
def outlines():
    """Of the published networks of the study of E2GC and of the small ones."""
    names = ("mobilenetv1_100", "resnext50_32x4d", *CHANNELS)
    return {name: Outline.of(vision.published(name)) for name in names}


def grouped(size=8, channels=64, side=56):
    return ConvShape("conv", side**2, side**2, channels, channels, 9, size, True)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("size", [1, 8, 64])
def test_energy_is_its_formula(size, batch):
    side, channels, u, prices = 14, 64, 2, Prices(mac=2.0, byte=50.0)
    macs = batch * side**2 * channels * 9 * size
    moved = u * (2 * batch * side**2 * channels + channels * 9 * size)
    found = spent([grouped(size, channels, side)], prices, batch=batch, itemsize=u)
    assert (found.macs, found.bytes_moved) == (macs, moved)
    assert found.joules == pytest.approx((2 * macs + 50 * moved) * 1e-12, rel=1e-12)
    assert found.per_mac == pytest.approx((2 + 50 / found.reuse) * 1e-12, rel=1e-12)
    pair = spent([grouped(size, channels, side)] * 2, prices, batch=batch, itemsize=u)
    assert pair.joules == pytest.approx(2 * found.joules, rel=1e-12)


@pytest.mark.parametrize("channels", [32, 256])
def test_at_the_knee_memory_and_arithmetic_cost_the_same(channels):
    prices, where = Prices(), {"batch": 4, "itemsize": 4}
    layer = grouped(1, channels, 28)
    size = knee(layer, prices, **where)
    # As if a size could be any number: the two parts at this size, by the formula.
    macs = 4 * 28**2 * channels * 9 * size
    moved = 4 * (2 * 4 * 28**2 * channels + channels * 9 * size)
    assert macs * prices.mac == pytest.approx(moved * prices.byte, rel=1e-9)
    # Where pictures outweigh weights it is 2 r u / R S, and does not depend on the channels.
    many = knee(layer, prices, batch=4096, itemsize=4)
    assert many == pytest.approx(2 * prices.balance * 4 / 9, rel=1e-3)
    assert math.isinf(knee(grouped(1, channels, 7), prices, itemsize=4)), "weights alone cost more"


def test_prices_that_are_none():
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"byte=.* must be a positive number of picojoules"):
            Prices(byte=value)


def counted(outline, **groups):
    layers = outline.at(**groups)
    spatial = sum(layer.macs() for layer in layers if layer.taps > 1)
    macs, params = sum(layer.macs() for layer in layers), outline.parameters(layers)
    return round(macs / 1e9, 3), round(spatial / 1e6), round(params / 1e6, 2)


def test_every_figure_of_mobilenet_v1(outlines):
    for size, figures in MOBILENET.items():
        assert counted(outlines["mobilenetv1_100"], group_size=size) == figures
    for groups, figures in MOBILENET_GROUPS.items():
        found = counted(outlines["mobilenetv1_100"], groups=groups)
        assert all(w is None or f == w for f, w in zip(found, figures, strict=True))


def test_every_figure_of_resnext_50(outlines):
    for size, figures in RESNEXT.items():
        assert counted(outlines["resnext50_32x4d"], group_size=size) == figures
    assert counted(outlines["resnext50_32x4d"], groups=32) == (4.230, 349, 25.03)


@pytest.mark.parametrize("side", [32, 44])
def test_shapes_are_those_of_the_network_at_any_size(outlines, side):
    config = vision.fixed_groups(vision.published("our_small_resnext"), 4)
    built = [c for c in vision.layer_costs(config, size=side, batch=3, itemsize=2) if c.kernel]
    shapes = outlines["our_small_resnext"].at(side, groups=4)
    assert [layer.name for layer in shapes] == [layer.name for layer in built]
    for shape, layer in zip(shapes, built, strict=True):
        assert shape.macs(3) == layer.macs
        assert shape.group_size == layer.group_size
        biases = layer.params - shape.weights
        assert shape.bytes_moved(3, 2) == layer.bytes_moved - 2 * biases
    assert outlines["our_small_resnext"].parameters(shapes) == vision.parameters(config)


def test_a_fixed_number_drifts_where_a_size_does_not(outlines):
    outline = outlines["resnext50_32x4d"]
    constant, fixed = (outline.at(**g) for g in ({"group_size": 8}, {"groups": 32}))
    # With many pictures weights count for nothing; what is left is the layers of stride 2.
    many = {"batch": 4096}
    unstrided = [layer for layer in constant if layer.pixels_in == layer.pixels_out]
    assert imbalance(unstrided, **many) == pytest.approx(1, abs=1e-3)
    assert imbalance(fixed, **many) > 7 > 3 > imbalance(constant, **many)
    with pytest.raises(ValueError, match="none of them has groups"):
        imbalance([layer for layer in fixed if not layer.groupable])


def test_sizes_that_do_not_divide(outlines):
    outline = outlines["our_small_resnext"]
    with pytest.raises(ValueError, match="group_size=32 does not divide the 16 channels"):
        outline.at(group_size=32)
    with pytest.raises(ValueError, match="groups=3 does not divide the 16 channels"):
        outline.at(groups=3)
    with pytest.raises(ValueError, match="group_size=None and groups=None: give one"):
        outline.at()


def test_an_outline_is_its_record(outlines):
    import json

    for outline in outlines.values():
        assert Outline.read(json.loads(json.dumps(outline.record()))) == outline


@pytest.mark.parametrize("network", CHANNELS)
def test_arms_of_a_pair_cost_the_same(outlines, network):
    found = pairs(network)
    assert {first.number for first, _ in found} <= set(SIZES) and len(found) >= 3
    for first, second in found:
        sized = outlines[network].at(group_size=first.number)
        numbered = outlines[network].at(groups=second.number)
        assert sum(c.macs() for c in sized) == sum(c.macs() for c in numbered)
    assert len(list(arms())) == len({arm.name for arm in arms()}) == 17


def test_the_small_networks_are_small():
    names = ("conv_first", "mobilenet_v1", "mobilenet_v2", "resnext")
    for name in names:
        assert (
            30_000
            < vision.parameters(vision.published(f"our_small_{name}", num_classes=10))
            < 150_000
        )
