"""Networks whose blocks are one op each are the same function."""

import jax
import numpy as np
import pytest
from flax import nnx

from kernels_pallas import dispatch
from tests.vision.answers import CONV_FIRST, CONVNEXT, MOBILE, answer, pictures, stirred
from workbench import vision


@pytest.mark.parametrize("config", [CONV_FIRST, MOBILE])
def test_answers_stay(config):
    if config is MOBILE:  # without its gates
        rows = [
            row.model_copy(update={"squeeze": 0.0}) if hasattr(row, "squeeze") else row
            for row in config.rows()
        ]
        config = config.with_rows(rows)
    model = stirred(vision.new(config))
    fused = vision.fused(model)
    wanted, found = answer(vision.folded(model), pictures()), answer(fused, pictures())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())
    np.testing.assert_array_equal(answer(vision.fused(fused), pictures()), found)


def test_blocks_are_one_op_and_layers_are_still_counted():
    model = vision.new(CONV_FIRST)
    fused = vision.fused(model)
    with dispatch.choices() as made:
        jax.eval_shape(lambda x: fused(x), pictures())
    ops = [choice.op for choice in made]
    assert ops.count("convfirst_block") == 1 and ops.count("mbconv_block") == 1
    names = [
        [layer.name for layer in vision.layer_costs(one, size=16)]
        for one in (vision.folded(model), fused)
    ]
    assert names[0] == names[1]


def test_what_has_no_such_block_or_is_trained_says_so():
    with pytest.raises(ValueError, match="rows of convnext; one op runs conv_first blocks"):
        vision.fused(vision.new(CONVNEXT))
    with pytest.raises(ValueError, match="folded; train it before"):
        vision.fused(vision.new(CONV_FIRST))(pictures(), training=nnx.Rngs(0))


def test_a_form_is_asked_for_by_name():
    fused = vision.fused(vision.new(CONV_FIRST), "xla")
    with dispatch.choices() as made:
        jax.eval_shape(lambda x: fused(x), pictures())
    forms = [choice.why for choice in made if choice.op in ("convfirst_block", "mbconv_block")]
    assert forms == ["asked for"] * 2
    fused = vision.fused(vision.new(CONV_FIRST), "mosaic_tpu")
    with pytest.raises(ValueError, match="mosaic_tpu.* cannot run on"):
        jax.eval_shape(lambda x: fused(x), pictures())
