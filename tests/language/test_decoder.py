"""The skeleton: decoding step by step is the whole text at once; segments do not leak."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixers.mlgru import MLGRUConfig

MIXERS = {
    "gla": GLAConfig(num_heads=2),
    "mlgru": MLGRUConfig(),
}


def small(kind: str) -> Decoder:
    config = DecoderConfig(
        vocab_size=29,
        hidden_size=32,
        num_hidden_layers=2,
        mixers=(MIXERS[kind],),
        intermediate_size=48,
    )
    return Decoder(config, rngs=nnx.Rngs(params=0))


@pytest.fixture(scope="module", params=sorted(MIXERS))
def model(request):
    return small(request.param)


TOKENS = jax.random.randint(jax.random.key(1), (2, 21), 0, 29)


def test_steps_after_a_prefill_are_the_whole_text_at_once(model):
    whole = model(TOKENS)
    logits, states = model.prefill(TOKENS[:, :13], model.initial_state(2, 21))
    np.testing.assert_allclose(logits, whole[:, :13], atol=1e-5)
    for t in range(13, 21):
        logits, states = model.step(TOKENS[:, t], states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def test_nothing_passes_between_segments(model):
    ids = jnp.asarray([[0] * 9 + [1] * 12] * 2)
    packed = model(TOKENS, segment_ids=ids)
    np.testing.assert_allclose(packed[:, 9:], model(TOKENS[:, 9:]), atol=1e-5)


def test_a_configuration_is_read_back_from_its_record():
    config = small("gla").config
    assert DecoderConfig.model_validate(config.record()) == config


def test_a_kind_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="mixer kind='glu' is not known; known: .*gla, "):
        DecoderConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, mixers=[{"kind": "glu"}])
