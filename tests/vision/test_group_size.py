"""E2GC: groups of one size against a fixed number of them, held to counted figures."""

import pytest

from workbench import vision
from workbench.vision.group_size import group_size_of

# Group size: GMAC, MMAC of the spatial convolutions with the stem's, millions of parameters.
MOBILENET = {
    1: (0.569, 28, 4.23),
    2: (0.586, 46, 4.28),
    4: (0.621, 80, 4.37),
    8: (0.690, 150, 4.54),
    16: (0.830, 289, 4.90),
    32: (1.108, 567, 5.62),
}
MOBILENET_GROUPS = {
    32: (0.685, 145, 4.97),
    16: (0.819, None, 5.76),
    8: (1.086, None, 7.33),
    4: (1.621, None, 10.47),
}
RESNEXT = {
    4: (4.099, 217, 23.89),
    8: (4.198, 317, 24.16),
    16: (4.397, 515, 24.70),
    32: (4.794, 913, 25.79),
}


def some_fast(cases, fast):
    """All cases, those not named fast marked slow."""
    return [c if c in fast else pytest.param(c, marks=pytest.mark.slow) for c in cases]


def figures(config):
    layers = vision.layer_costs(config, size=224)
    wide = (layer for layer in layers if layer.kind == "conv" and layer.kernel[0] > 1)
    spatial = sum(layer.macs for layer in wide)
    return (
        round(sum(layer.macs for layer in layers) / 1e9, 3),
        round(spatial / 1e6),
        round(vision.parameters(config) / 1e6, 2),
    )


def same(found, wanted):
    assert all(w is None or f == w for f, w in zip(found, wanted, strict=True)), (found, wanted)


@pytest.mark.parametrize("size", some_fast(MOBILENET, {8}))
def test_mobilenet_v1_of_one_group_size(size):
    config = vision.constant_group_size(vision.published("mobilenetv1_100"), size)
    assert group_size_of(config) == size
    same(figures(config), MOBILENET[size])


@pytest.mark.parametrize("groups", some_fast(MOBILENET_GROUPS, {32}))
def test_mobilenet_v1_of_fixed_groups(groups):
    config = vision.fixed_groups(vision.published("mobilenetv1_100"), groups)
    same(figures(config), MOBILENET_GROUPS[groups])


@pytest.mark.parametrize("size", some_fast(RESNEXT, {8}))
def test_resnext_of_one_group_size(size):
    config = vision.constant_group_size(vision.published("resnext50_32x4d"), size)
    same(figures(config), RESNEXT[size])


def test_resnext_as_published_drifts():
    config = vision.published("resnext50_32x4d")
    same(figures(config), (4.230, 349, 25.03))
    sizes = [c.group_size for c in vision.layer_costs(config, size=224) if c.groups > 1]
    assert sorted(set(sizes)) == [4, 8, 16, 32]
    assert group_size_of(config) is None


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_size_that_is_none(size):
    with pytest.raises(ValueError, match="group_size=.* must be a whole number"):
        vision.constant_group_size(vision.published("mobilenetv1_100"), size)


def test_a_network_without_groups():
    with pytest.raises(ValueError, match="convnext_tiny has rows of convnext only"):
        vision.constant_group_size(vision.published("convnext_tiny"), 8)


def test_a_size_that_does_not_divide():
    config = vision.constant_group_size(vision.published("mobilenetv1_100"), 7)
    with pytest.raises(ValueError, match="group_size=7 does not divide the 32 channels"):
        vision.parameters(config)
