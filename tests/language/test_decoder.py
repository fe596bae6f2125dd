"""The skeleton: decoding step by step is the whole text at once; segments do not leak."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.language.faulty_mixers import Sound
from workbench.language import mixer
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder
from workbench.language.mixers.attention import AttentionConfig
from workbench.language.mixers.delta_net import DeltaNetConfig
from workbench.language.mixers.gated_delta_net import GatedDeltaNetConfig
from workbench.language.mixers.gla import GLAConfig
from workbench.language.mixers.hgrn2 import HGRN2Config
from workbench.language.mixers.mamba2 import Mamba2Config
from workbench.language.mixers.mlgru import MLGRUConfig
from workbench.language.mixers.retnet import RetNetConfig

MIXERS = {
    "attention": AttentionConfig(num_heads=4, num_kv_heads=2),
    "attention-window": AttentionConfig(num_heads=2, num_kv_heads=1, window_size=7, biases="all"),
    "delta_net": DeltaNetConfig(num_heads=2, use_gate=True),
    "gated_delta_net": GatedDeltaNetConfig(
        num_heads=1, num_v_heads=2, head_dim=8, allow_neg_eigval=True
    ),
    "gla": GLAConfig(num_heads=2),
    "gla-fixed": GLAConfig(num_heads=2, gate="fixed"),
    "gla-none": GLAConfig(num_heads=2, gate="none"),
    "gla-scalar": GLAConfig(num_heads=2, gate="scalar", num_kv_heads=1),
    "hgrn2": HGRN2Config(expand_ratio=8),
    "mamba2": Mamba2Config(state_size=16, head_dim=8),
    "hybrid": (GLAConfig(num_heads=2), AttentionConfig(num_heads=2, window_size=7)),
    "mlgru": MLGRUConfig(),
    "own": mixer(Sound),
    "retnet": RetNetConfig(num_heads=2),
}


def small(kind: str) -> Decoder:
    mixers = MIXERS[kind] if kind == "hybrid" else (MIXERS[kind],)
    config = DecoderConfig(
        vocab_size=29,
        hidden_size=32,
        num_hidden_layers=3 if len(mixers) > 1 else 2 if mixers[0].bounded else 1,
        mixers=mixers,
        intermediate_size=48,
    )
    return Decoder(config, rngs=nnx.Rngs(params=0))


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", params=sorted(MIXERS))
def model(request):
    return small(request.param)


@pytest.fixture(scope="module")
def logits(model):
    """One program for all texts of 21 tokens, in segments."""
    run = nnx.jit(lambda model, tokens, ids: model(tokens, segment_ids=ids))
    return lambda tokens, ids: run(model, tokens, jnp.asarray([ids] * 2))


TOKENS = jax.random.randint(jax.random.key(1), (2, 21), 0, 29)


def test_steps_after_a_prefill_are_the_whole_text_at_once(model, logits):
    whole = logits(TOKENS, [0] * 21)
    prefill = nnx.jit(lambda model, tokens, states: model.prefill(tokens, states))
    step = nnx.jit(lambda model, tokens, states: model.step(tokens, states))
    found, states = prefill(model, TOKENS[:, :13], model.initial_state(2, 21))
    np.testing.assert_allclose(found, whole[:, :13], atol=1e-5)
    for t in range(13, 21):
        found, states = step(model, TOKENS[:, t], states)
        np.testing.assert_allclose(found, whole[:, t], atol=1e-5)


def test_nothing_passes_between_segments(logits):
    packed = logits(TOKENS, [0] * 9 + [1] * 12)
    moved = logits(jnp.roll(TOKENS, 12, axis=1), [0] * 12 + [1] * 9)
    np.testing.assert_allclose(packed[:, 9:], moved[:, :12], atol=1e-5)
    np.testing.assert_allclose(packed[:, :9], moved[:, 12:], atol=1e-5)
    assert not np.allclose(packed[:, 9:], logits(TOKENS, [0] * 21)[:, 9:], atol=1e-4)


@pytest.mark.parametrize("linears", ["dense", "ternary"])
@pytest.mark.parametrize("kind", ["gla", "gla-scalar", "gated_delta_net"])
def test_every_projection_has_the_deviation_of_the_configuration(kind, linears):
    config = DecoderConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=1, mixers=(MIXERS[kind],),
        linears=linears, tie_word_embeddings=False, initializer_range=1e-9, channel_mixer="none",
    )  # fmt: skip
    weights = nnx.to_flat_state(nnx.state(Decoder(config, rngs=nnx.Rngs(params=0)).model.layers))
    largest = {
        ".".join(map(str, path)): jnp.abs(leaf[...]).max()
        for path, leaf in weights if path[-1] == "kernel" and "conv" not in str(path)
    }  # fmt: skip
    assert any("gk_proj" in name or "a_proj" in name for name in largest)
    assert all(0 < size < 1e-8 for size in largest.values()), largest


def test_a_configuration_is_read_back_from_its_record():
    config = small("gla").config
    assert DecoderConfig.model_validate(config.record()) == config


def test_a_kind_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="mixer kind='glu' is not known; known: .*gla, "):
        DecoderConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, mixers=[{"kind": "glu"}])
