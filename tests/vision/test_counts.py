"""Costs by layer: names, shapes, arithmetic and bytes, against formulas and the other counter."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from tests.vision.answers import CONVNEXT, SMALL
from workbench import vision
from workbench.measure.macs import count
from workbench.model_files.abstract import abstract
from workbench.vision.networks import build


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_arithmetic_is_that_of_the_traced_program(config):
    """Counted on what is called, where kernels may be laid out anew; here on the plain forms."""
    graph, weights = nnx.split(abstract(build, config, dtype=jnp.float32))
    x = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    found = count(lambda w, x: nnx.merge(graph, w)(x), weights, x, weights=0)
    assert vision.macs(config, size=16) == found.total


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_rows_hold_all_parameters(config):
    layers = vision.layer_costs(config, size=16)
    scales = sum(r.channels * r.repeats for r in config.rows() if getattr(r, "layer_scale", None))
    assert sum(layer.params for layer in layers) + scales == vision.parameters(config)
    assert len({layer.name for layer in layers}) == len(layers)


def test_one_row():
    layers = {c.name: c for c in vision.layer_costs(CONVNEXT, size=(16, 32), batch=3, itemsize=2)}
    depthwise = layers["stages.1.blocks.0.conv_dw"]
    assert depthwise.kind == "conv"
    assert depthwise.inputs == depthwise.outputs == (3, 2, 4, 16)
    assert depthwise.kernel == (7, 7, 1, 16)
    assert (depthwise.groups, depthwise.group_size) == (16, 1)
    assert depthwise.params == 49 * 16 + 16
    assert depthwise.macs == 3 * 2 * 4 * 16 * 49
    assert depthwise.bytes_moved == 2 * (2 * 3 * 2 * 4 * 16 + 50 * 16)
    assert layers["head.fc"].kind == "dense"
    assert layers["head.fc"].macs == 3 * 16 * 5
    assert (layers["stem.1"].kind, layers["stem.1"].macs, layers["stem.1"].group_size) == (
        "layer norm",
        0,
        0,
    )


def test_operational_intensity_of_a_grouped_convolution():
    """Near R² G / u at half precision where activations dominate, whatever the channels."""
    config = vision.published("our_conv_first")
    layers = vision.layer_costs(config, size=224, batch=128, itemsize=2)
    found = {c.name: c.intensity for c in layers}
    assert round(found["stages.0.blocks.0.conv"], 1) == 36.0
    assert round(found["stages.2.blocks.0.conv"], 1) == 35.9
    assert round(found["stages.0.blocks.0.conv_exp"], 1) == 51.2


def test_a_size_the_network_cannot_read():
    with pytest.raises(ValueError, match="multiples of 32, such as 192 x 192"):
        vision.layer_costs(vision.published("convnext_tiny"), size=200)
