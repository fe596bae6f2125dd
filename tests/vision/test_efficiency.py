"""Efficiency and the waterline: formulas, published tables, and traffic counted another way."""

import math

import numpy as np
import pytest

from tests.vision.answers import SMALL
from workbench import vision
from workbench.measure.roofline import PEAKS
from workbench.vision.blocks.conv_first import ConvFirstRow
from workbench.vision.efficiency import counted, formula, fusion, published, waterline
from workbench.vision.efficiency.counting import layers_of
from workbench.vision.efficiency.layer import convolution
from workbench.vision.efficiency.waterline import Bar, attainable, intensity

HALF, BATCH = 2, 128
BALANCES = (76, 206, 240)


# -- Lavin's formula -----------------------------------------------------------------------------


def test_latency_and_efficiency_are_each_other_turned_round():
    operations, peak = 6.2e8, 71e12
    for efficiency in (0.01, 0.43, 1.0):
        seconds = formula.latency(operations, efficiency, peak)
        assert formula.computational_efficiency(operations, seconds, peak) == pytest.approx(
            efficiency, rel=1e-12
        )
        assert formula.gap(operations, seconds, peak) == pytest.approx(
            seconds / formula.ideal_latency(operations, peak), rel=1e-12
        )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: formula.ideal_latency(1e9, 0), "peak=0 must be above 0"),
        (lambda: formula.computational_efficiency(1e9, -1, 1e12), "seconds=-1 must be above 0"),
        (lambda: formula.latency(1e9, 1.5, 1e12), "efficiency=1.5 is above 1"),
        (lambda: waterline.balance(0, 1e9), "peak=0 must be above 0"),
        (lambda: attainable([Bar("norm", 0, 8)], 76), "no operations"),
        (lambda: fusion.serial([], batch=0), "batch=0 must be at least 1"),
        (lambda: fusion.fused([], tile=0), "tile=0 must be at least 1 pixel"),
        (lambda: convolution(8, 8, 12, 12, 3, groups=8), "groups=8 does not divide 12 input"),
    ],
)
def test_a_bad_value_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# -- the published table of one GPU --------------------------------------------------------------

RTX3090 = {
    "mobilenetv3_large_100": (6.24, 8.8, 75.784),
    "mobilenetv2_100": (6.13, 8.6, 72.910),
    "efficientnet_b0": (6.59, 9.3, 77.698),
    "convnext_atto": (10.1, 14.2, 75.672),
    "resnet50": (30.7, 43.2, None),
    "resnext50_32x4d": (26.7, 37.6, 81.140),
    "convnext_tiny": (27.9, 39.3, 82.066),
}
"""TFLOP/s, efficiency at 71 TFLOP/s in per cent, and top-1 as timm's table gave it last."""


@pytest.mark.parametrize("name", RTX3090)
def test_efficiencies_of_the_published_table(name):
    row, (rate, share, top1) = published.published()[name], RTX3090[name]
    assert float(f"{row.operations / row.latency / 1e12:.3g}") == rate
    assert round(100 * row.efficiency(71e12), 1) == share
    # Between two versions of timm's table the same weights move by hundredths.
    assert top1 is None or row.top1 == pytest.approx(top1, abs=0.03)


def test_every_published_network_is_ours_too_and_the_source_is_named():
    rows = published.published()
    for name, row in rows.items():
        ours = counted.operations(name) / 2e9
        assert abs(ours - row.gmacs) < max(0.0075, 0.08 * row.gmacs), name  # two decimals there
    source = published.card()
    assert source["repository"] and source["latencies"]["commit"] and source["accuracies"]["file"]


def test_fewer_operations_are_less_than_proportionally_less_time():
    """MobileNetV2 needs 14.4 times fewer MACs than ConvNeXt-T and is 3.2 times faster."""
    small, large = (published.published()[n] for n in ("mobilenetv2_100", "convnext_tiny"))
    assert round(large.gmacs / small.gmacs, 1) == 14.4
    assert round(large.latency / small.latency, 1) == 3.2


# -- operational intensity -----------------------------------------------------------------------

LAYERS = {
    (56, 64): {"dense": 287.8, "8": 36.0, "depthwise 3": 4.5, "depthwise 7": 24.5, "1 x 1": 51.2},
    (14, 256): {"dense": 1101, "8": 35.9, "depthwise 3": 4.5, "depthwise 7": 24.5, "1 x 1": 203},
}
"""At half precision, 128 pictures; dense, groups of 8, depthwise, and 1 x 1 to four times more."""


@pytest.mark.parametrize("shape", LAYERS)
def test_intensity_of_layers(shape):
    pixels, channels = shape
    layers = {
        "dense": convolution(pixels, pixels, channels, channels, 3),
        "8": convolution(pixels, pixels, channels, channels, 3, groups=channels // 8),
        "depthwise 3": convolution(pixels, pixels, channels, channels, 3, groups=channels),
        "depthwise 7": convolution(pixels, pixels, channels, channels, 7, groups=channels),
        "1 x 1": convolution(pixels, pixels, channels, 4 * channels, 1),
    }
    for name, layer in layers.items():
        printed = LAYERS[shape][name]
        digits = 4 if printed > 99 and printed != 203 else 3
        assert float(f"{layer.intensity(BATCH, HALF):.{digits}g}") == printed, name


def test_intensity_of_a_grouped_layer_follows_no_channels_and_no_resolution():
    """R² G / u where activations dominate."""
    for pixels, channels in ((112, 64), (28, 256)):
        layer = convolution(pixels, pixels, channels, channels, 3, groups=channels // 8)
        assert layer.intensity(1024, HALF) == pytest.approx(9 * 8 / HALF, rel=1e-3)


# -- the waterline of a ConvFirst block ----------------------------------------------------------

BLOCKS = {
    0: (44.9, 292, (0.59, 0.22, 0.19)),
    1: (84.2, 545, (0.93, 0.41, 0.35)),
    2: (162, 1017, (0.96, 0.79, 0.68)),
    3: (305, 1564, (0.98, 0.92, 0.91)),
}
"""Intensity layer by layer and fused, attainable efficiency at three balances; by stage."""


@pytest.fixture(scope="module")
def conv_first():
    return layers_of(vision.published("our_conv_first"), size=224)


@pytest.mark.parametrize("stage", BLOCKS)
def test_waterline_of_a_conv_first_block(stage, conv_first):
    serially, whole, shares = BLOCKS[stage]
    block = [layer for layer in conv_first if layer.block == f"stages.{stage}.blocks.0"]
    bars = fusion.serial(block, batch=BATCH, itemsize=HALF)
    (one,) = fusion.fused(block, batch=BATCH, itemsize=HALF)
    assert float(f"{intensity(bars):.3g}") == serially
    assert round(one.intensity) == whole
    for balance, share in zip(BALANCES, shares, strict=True):
        assert round(attainable(bars, balance), 2) == share


def test_the_mean_intensity_hides_what_is_under_water(conv_first):
    block = [layer for layer in conv_first if layer.block == "stages.1.blocks.0"]
    bars = fusion.serial(block, batch=BATCH, itemsize=HALF)
    of_the_mean = 1 / max(1, 76 / intensity(bars))
    assert of_the_mean == 1 and attainable(bars, 76) < 0.94


def test_balances_of_the_devices():
    found = {
        key: round(PEAKS[key].ridge(dtype))
        for key, dtype in (("rtx3090", "float16"), ("h200", "bfloat16"), ("tpu-v5e", "bfloat16"))
    }
    assert tuple(found.values()) == BALANCES


# -- traffic, another way ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_traffic_is_that_of_the_folded_network_and_what_is_moved_beside(name):
    """Batch norms cost a bias; the rest are the rows of the folded network itself."""
    config = SMALL[name]
    layers = layers_of(config, size=16)
    folded = vision.layer_costs(vision.folded(vision.new(config)), size=16, batch=2)
    assert [layer.name for layer in layers] == [cost.name for cost in folded]
    for layer, cost in zip(layers, folded, strict=True):
        assert layer.bytes_moved(2, 4) - 4 * 2 * layer.beside == cost.bytes_moved
        assert layer.operations(2) == 2 * cost.macs
    assert layers_of(vision.folded(vision.new(config)), size=16) == layers


def test_residuals_pools_and_gates_are_read():
    layers = {layer.name: layer for layer in layers_of(SMALL["mobile"], size=16)}
    # 8 x 8 pixels after the stem; the first block is one layer and adds its input.
    assert layers["blocks.0.0.conv"].beside == 8 * 8 * 8 and layers["blocks.0.0.conv"].adds
    assert layers["blocks.0.1.conv_pw"].beside == 0
    # A gate pools 4 x 4 x 32 numbers, then reads and writes them.
    assert layers["blocks.1.0.se.conv_reduce"].beside == 4 * 4 * 32
    assert layers["blocks.1.0.se.conv_expand"].beside == 2 * 4 * 4 * 32
    assert layers["classifier"].beside == 4 * 4 * 24 + 24
    resnet = {layer.name: layer for layer in layers_of(SMALL["resnet"], size=16)}
    assert resnet["layer1.0.conv1"].beside == 8 * 8 * 8 + 4 * 4 * 8  # the largest of nine
    assert resnet["layer1.1.conv3"].beside == 4 * 4 * 16
    assert resnet["layer2.0.downsample.0"].adds


def test_a_fused_block_moves_its_ends_and_a_gate_cuts_it_in_two():
    layers = layers_of(SMALL["mobile"], size=16)
    bars = {bar.name: bar for bar in fusion.fused(layers, batch=3, itemsize=2)}
    plain = [layer for layer in layers if layer.block == "blocks.2.0"]
    weights = sum(layer.weights for layer in plain)
    assert bars["blocks.2.0"].bytes_moved == 2 * (3 * (4 * 4 * 16 + 4 * 4 * 16) + weights)
    first, second = bars["blocks.1.1"], bars["blocks.1.1, gated"]
    wide = 4 * 4 * 32
    gated = [layer for layer in layers if layer.block == "blocks.1.1"]
    assert first.bytes_moved + second.bytes_moved == 2 * (
        3 * (4 * 4 * 16 + wide + wide + 4 * 4 * 16 + 4 * 4 * 16) + sum(x.weights for x in gated)
    )
    serial = fusion.serial(layers, batch=3, itemsize=2)
    assert sum(b.operations for b in bars.values()) == sum(b.operations for b in serial)
    assert sum(b.bytes_moved for b in bars.values()) < sum(b.bytes_moved for b in serial)
    assert {name for bar in bars.values() for name in bar.layers} == {x.name for x in layers}


@pytest.mark.parametrize(
    ("taps", "stride", "pixels", "tile"),
    [(3, 1, 24, 8), (7, 1, 30, 8), (3, 2, 32, 8), (5, 1, 7, 16)],
)
def test_halo_is_the_rows_that_tiles_touch(taps, stride, pixels, tile):
    layer = convolution(pixels, pixels, 8, 8, taps, stride=stride)
    outputs = -(-pixels // stride)
    touched = 0
    for start in range(0, outputs, tile):
        rows = {
            out * stride - taps // 2 + tap
            for out in range(start, min(start + tile, outputs))
            for tap in range(taps)
        }
        touched += len([row for row in rows if 0 <= row < pixels])
    assert fusion.halo([layer], tile) == pytest.approx((touched / pixels) ** 2)


def test_halo_inside_a_large_map():
    """((t + R − 1) / t)²: 1.56 for tiles of 8, 1.27 for 16."""
    layer = convolution(4096, 4096, 8, 8, 3)
    assert fusion.halo([layer], 8) == pytest.approx((10 / 8) ** 2, rel=2e-3)
    assert fusion.halo([layer], 16) == pytest.approx((18 / 16) ** 2, rel=2e-3)
    assert fusion.halo([convolution(8, 8, 8, 32, 1)], 4) == 1


def test_slowdown_and_least_time_agree_with_the_roofline():
    bars = [Bar("a", 1e9, 1e8), Bar("b", 1e9, 1e6), Bar("norm", 0, 1e7)]
    peak, bandwidth = 1e12, 1e10
    level = waterline.balance(peak, bandwidth)
    times = [max(b.operations / peak, b.bytes_moved / bandwidth) for b in bars]
    assert [b.seconds(peak, bandwidth) for b in bars] == times
    assert bars[0].slowdown(level) == pytest.approx(10) and bars[1].slowdown(level) == 1
    assert bars[2].slowdown(level) == math.inf
    assert attainable(bars, level) == pytest.approx(2e9 / peak / sum(times))
    assert np.isclose(waterline.least_seconds(bars, peak, bandwidth), sum(times))


def test_what_ships_is_what_is_counted():
    for name in ("mobilenetv3_small_050", "our_conv_first"):
        table = vision.published(name)
        assert counted.layers(name) == layers_of(table, size=counted.pixels())
        assert counted.parameters(name) == vision.parameters(table)
        assert counted.operations(name) == 2 * vision.macs(table, size=224)
    with pytest.raises(ValueError, match="is not known; known: .*; did you mean resnet50"):
        counted.layers("resnet5")


def test_a_size_that_is_no_multiple():
    with pytest.raises(ValueError, match="multiples of 32, such as 192 x 192"):
        layers_of(vision.published("our_conv_first"), size=200)


def test_a_row_that_is_asked_for_alone():
    from workbench.vision.efficiency.counting import layers_of_block
    from workbench.vision.own_block import block

    built = block(ConvFirstRow(channels=1)).build(64)
    layers = layers_of_block(built, (56, 56, 64))
    (one,) = fusion.fused(layers, batch=BATCH, itemsize=HALF)
    assert round(one.intensity) == BLOCKS[0][1] and one.name == "block"
