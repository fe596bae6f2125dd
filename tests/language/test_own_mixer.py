"""A mixer of one's own in a decoder: its steps, its packing, its record, its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.language.faulty_mixers import Sound
from workbench.language import Decoder, DecoderConfig, mixer
from workbench.language.mixing import Context
from workbench.language.own_mixer import MixerError

mine = mixer(Sound)
TOKENS = jax.random.randint(jax.random.key(1), (2, 9), 0, 11)


def config_of(*mixers):
    return DecoderConfig(
        vocab_size=11, hidden_size=8, num_hidden_layers=2, mixers=mixers, channel_mixer="none"
    )


def layer_of(one, width=6, dtype=jnp.float32):
    return one.build(width, 0, linear=None, eps=1e-6, dtype=dtype, rngs=nnx.Rngs(params=0))


def scanned(init, step, **more):
    return mixer(init=init, step=step, **more)


def no_weights(key, width):
    return {}


@pytest.fixture(scope="module")
def model():
    return Decoder(config_of(mine, mine(rate=0.5)), rngs=nnx.Rngs(params=0))


def test_a_decoder_of_them_steps_as_it_reads_and_keeps_packed_texts_apart(model):
    @nnx.jit
    def outputs(model, tokens):
        ids = jnp.asarray([[0] * 5 + [1] * 4] * 2)
        first, states = model.prefill(tokens[:, :7], model.initial_state(2, 9))
        found = [first]
        for t in (7, 8):
            logits, states = model.step(tokens[:, t], states)
            found.append(logits[:, None])
        packed = model(tokens, segment_ids=ids)[:, 5:]
        return model(tokens), jnp.concatenate(found, axis=1), packed, model(tokens[:, 5:])

    whole, stepped, packed, alone = outputs(model, TOKENS)
    np.testing.assert_allclose(stepped, whole, atol=1e-5)
    np.testing.assert_allclose(packed, alone, atol=1e-5)


def test_settings_reach_the_step():
    x = jnp.ones((1, 2, 6))
    slow, fast = (layer_of(mine(rate=rate))(x)[0] for rate in (1.0, 0.0))
    np.testing.assert_allclose(slow[:, 1], 2 * fast[:, 1], rtol=1e-5)


def test_weights_of_any_tree_are_kept_by_their_paths():
    def init(key, width):
        return {"b": [jnp.ones(width), jnp.zeros(width)], "a": (jnp.full(width, 2.0),)}

    def step(params, state, x):
        (first, second), (third,) = params["b"], params["a"]
        return state, first * x * third + second

    layer = layer_of(scanned(init, step))
    again = nnx.merge(*nnx.split(layer))
    assert sorted(layer.weights) == ["a.0", "b.0", "b.1"]
    np.testing.assert_allclose(again(jnp.ones((1, 3, 6)))[0], 2.0)


def test_in_bfloat16_matrices_are_and_vectors_and_states_are_not():
    seen = {}

    def init(key, width):
        return {"matrix": jnp.ones((width, width)), "vector": jnp.ones(width)}

    def step(params, state, x):
        seen.update({name: leaf.dtype for name, leaf in params.items()}, state=state.dtype)
        return state + x, x

    y, _ = layer_of(scanned(init, step), dtype=jnp.bfloat16)(jnp.ones((1, 2, 6), jnp.bfloat16))
    assert seen == {"matrix": jnp.bfloat16, "vector": jnp.float32, "state": jnp.float32}
    assert y.dtype == jnp.bfloat16


def test_a_parallel_form_may_know_of_segments():
    given = []

    def parallel(params, x, segment_ids):
        given.append(segment_ids)
        return x

    one = scanned(no_weights, lambda params, state, x: (state, x), parallel=parallel)
    ids = jnp.zeros((1, 3), jnp.int32)
    layer_of(one)(jnp.ones((1, 3, 6)), None, Context(ids))
    layer_of(one)(jnp.ones((1, 3, 6)))
    assert given[0] is ids and given[1] is None


def test_the_record_of_a_configuration_finds_it_again(model):
    assert DecoderConfig.model_validate(model.config.record()) == model.config


def test_another_source_or_setting_is_another_mixer():
    def step(params, state, x):
        return state, x

    def other(params, state, x):
        return state, 2 * x

    one, same, two = (scanned(no_weights, each) for each in (step, step, other))
    assert one == same and hash(one) == hash(same)
    assert one.fingerprint != two.fingerprint
    assert mine(rate=0.8) != mine(rate=0.7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"module": "no_such_module"}, "import its file or run its cell first"),
        ({"fingerprint": "0"}, "has changed since"),
    ],
)
def test_a_record_of_what_is_not_here_says_so(change, message):
    record = {"kind": "own", **mine.model_dump(mode="json"), **change}
    with pytest.raises(ValueError, match=message):
        config_of(record)


def test_cost_is_what_it_says_or_what_is_counted():
    def step(params, state, x):  # one product of two activations: state [B, D, D]
        state = state + x[:, :, None] * x[:, None, :]
        return state, jnp.einsum("bij,bj->bi", state, x)

    def initial(params, batch):
        return jnp.zeros((batch, 6, 6))

    counted = scanned(no_weights, step, initial=initial)
    assert counted.macs(6, 32) == 36
    assert counted.state_bytes(6, 99) == 4 * 36
    said = scanned(no_weights, step, initial=initial, cost=lambda width, length: 7 * length)
    assert said.macs(6, 32) == 224
    assert mine.state_bytes(6, 99) == 24
    assert mine.macs(6, 32) == 32 * 6  # its matrix of decays, 32 by 32, is no weight


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda params, state, x: x, r"must return \(state, y\), a pair"),
        (lambda params, state, x: (state, x[:, :2]), r"returned y of shape \(2, 2\)"),
        (lambda params, state, x: (state[:, :1], x), r"state of shape \(2, 6\) and returned"),
        (lambda params, state, x: ({"h": state}, x), "they must be alike"),
    ],
)
def test_a_step_that_returns_something_else_is_told(step, message):
    with pytest.raises(MixerError, match=message):
        layer_of(scanned(no_weights, step))(jnp.ones((2, 3, 6)))


def test_parts_that_are_not_as_they_must_be_are_told():
    def step(params, state, x):
        return state, x

    with pytest.raises(MixerError, match=r"has no step\(params, state, x\)"):
        mixer(init=no_weights)
    with pytest.raises(MixerError, match=r"must be init\(key, width\)"):
        mixer(init=lambda key: {}, step=step)
    with pytest.raises(MixerError, match="give a class, or the functions"):
        mixer()
    with pytest.raises(MixerError, match="cannot be made with"):
        mine(speed=1)
    with pytest.raises(MixerError, match="count is int32; every leaf must be a floating array"):
        layer_of(mixer(init=lambda key, width: {"count": jnp.zeros(3, jnp.int32)}, step=step))
    with pytest.raises(MixerError, match="first axis of each array of a state must be the batch"):
        one = mixer(init=no_weights, step=step, initial=lambda params, batch: jnp.zeros(7))
        layer_of(one).initial_state(2, 5)
    with pytest.raises(MixerError, match="made of functions, which have no settings"):
        mixer(init=no_weights, step=step)(rate=1.0)
