"""A block of one's own: built, counted, and told what is wrong in one line."""

import jax.numpy as jnp
import pytest
from flax import nnx

from workbench import vision
from workbench.vision.blocks.conv_first import ConvFirstRow
from workbench.vision.layers import Conv
from workbench.vision.own_block import BlockError, block, count

SHAPE = (8, 8, 16)


@vision.block
class Wide:
    skips = True
    folds = (("conv", "norm"),)

    def __init__(self, channels, make, expansion=4):
        self.conv = make.conv(channels, channels, 3, groups=channels // 8)
        self.norm = make.batch_norm(channels)
        self.widen = make.conv(channels, expansion * channels)
        self.widened = make.batch_norm(expansion * channels)
        self.narrow = make.conv(expansion * channels, channels)
        self.narrowed = make.batch_norm(channels)
        self.act = make.act("silu")

    def __call__(self, x):
        y = self.act(self.widened(self.widen(self.norm(self.conv(x)))))
        return x + self.narrowed(self.narrow(y))


def test_a_class_costs_what_the_same_row_costs():
    _, mine = count(Wide, SHAPE)
    _, row = count(block(ConvFirstRow(channels=1)), SHAPE)
    one, other = (
        [(a.macs, a.inputs, a.outputs, a.weights, a.beside, a.adds) for a in found.layers]
        for found in (mine, row)
    )
    assert one == other
    assert mine.macs == row.macs == 8 * 8 * (16 * 8 * 9 + 2 * 4 * 16 * 16)
    assert mine.outside == 0 and mine.outputs == SHAPE


def test_settings_make_another_block():
    assert count(Wide(expansion=2), SHAPE)[1].macs == 8 * 8 * (16 * 8 * 9 + 2 * 2 * 16 * 16)
    assert Wide.name == "Wide" and Wide(expansion=2).settings == {"expansion": 2}


def test_it_folds_where_it_says_so():
    built = vision.folded(Wide.build(16))
    x = jnp.ones((1, *SHAPE), jnp.float32)
    assert built.conv.bias is not None
    assert jnp.allclose(built(x), Wide.build(16)(x), atol=1e-5)


def test_a_function_that_calls_layers_or_none():
    conv = Conv(16, 16, 3, groups=4, dtype=jnp.float32, rngs=nnx.Rngs(0))
    _, found = count(block(lambda x: conv(x), name="One"), SHAPE)
    assert [(one.name, one.taps, one.group_size) for one in found.layers] == [("conv 1", 3, 4)]
    weight = jnp.ones((16, 16), jnp.float32)

    def plain(x):
        return jnp.einsum("bhwc,ck->bhwk", conv(x), weight)

    _, found = count(block(plain), SHAPE)
    assert found.outside == 8 * 8 * 16 * 16 and len(found.layers) == 1
    _, found = count(block(lambda x: x), SHAPE)
    assert found.macs == 0 and found.layers == ()


class NoMake:
    def __init__(self, channels):
        pass

    def __call__(self, x):
        return x


class NoCall:
    def __init__(self, channels, make):
        pass


class Seven(NoCall):
    def __init__(self, channels, make):
        self.conv = make.conv(channels, channels, 3, groups=7)

    def __call__(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: block(NoMake), r"NoMake: takes \(channels\); must be __init__"),
        (lambda: block(NoCall), r"NoCall: has no __call__\(self, x\)"),
        (lambda: block(3), "block: 3 is no class, no function x → y and no row"),
        (lambda: block(lambda: 1), r"must be f\(x\)"),
        (lambda: Wide(depth=3), r"Wide: takes .*unexpected keyword"),
        (lambda: count(block(Seven), SHAPE), "Seven: cannot be made with 16 channels: groups=7"),
        (lambda: count(block(lambda x: x[0]), SHAPE), r"returns an array of shape \[8, 8, 16\]"),
        (lambda: count(block(lambda x: (x, x)), SHAPE), "returns tuple; must be pictures"),
        (lambda: count(block(lambda x: x @ x), SHAPE), r"cannot be called on \[1, 8, 8, 16\]"),
        (lambda: block(lambda x: x)(depth=1), "is no class, and has no settings"),
    ],
)
def test_what_is_wrong_is_one_line(made, words):
    with pytest.raises(BlockError, match=words) as found:
        made()
    assert "\n" not in str(found.value)
