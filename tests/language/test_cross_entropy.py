"""The loss by pieces is the loss at once, and so are its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from workbench.language.cross_entropy import mean_loss, token_losses
from workbench.language.token_data import IGNORED

VOCAB, WIDTH = 37, 8
TARGETS = jax.random.randint(jax.random.key(0), (3, 11), 0, VOCAB).at[:, ::4].set(IGNORED)


def loss(weights, features, largest, dtype=jnp.float32):
    def head(x):
        y = x.astype(dtype) @ weights["table"].T.astype(dtype)
        return y.astype(jnp.float32) + weights["bias"].reshape((1,) * (x.ndim - 1) + (-1,))

    return mean_loss(head, features, TARGETS, largest=largest)


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(1), 3)
    weights = {
        "table": jax.random.normal(keys[0], (VOCAB, WIDTH)),
        "bias": jax.random.normal(keys[1], (VOCAB,)),
    }
    return weights, jax.random.normal(keys[2], (3, 11, WIDTH))


def test_losses_are_optaxs(inputs):
    logits = 30 * jax.random.normal(jax.random.key(2), (3, 11, VOCAB))
    found = token_losses(logits, TARGETS)
    counted = TARGETS != IGNORED
    wanted = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(counted, TARGETS, 0))
    np.testing.assert_allclose(found, jnp.where(counted, wanted, 0.0), rtol=1e-6, atol=1e-5)
    assert (np.asarray(found)[~np.asarray(counted)] == 0).all()


@pytest.mark.parametrize("piece", [1, 7])
def test_pieces_give_the_whole_and_its_gradients(inputs, piece):
    of = jax.value_and_grad(loss, argnums=(0, 1))
    whole, gradients = jax.jit(of, static_argnums=2)(*inputs, 1 << 24)
    found, pieces = jax.jit(of, static_argnums=2)(*inputs, piece * VOCAB)
    np.testing.assert_allclose(found, whole, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-7), pieces, gradients)
    alone = jax.jit(loss, static_argnums=2)(*inputs, piece * VOCAB)
    np.testing.assert_allclose(alone, whole, rtol=1e-6)


def test_no_array_of_all_logits_is_made(inputs):
    text = str(jax.make_jaxpr(jax.grad(loss), static_argnums=2)(*inputs, 7 * VOCAB))
    assert f"[7,{VOCAB}]" in text and f"[3,11,{VOCAB}]" not in text and f"[33,{VOCAB}]" not in text


def test_half_precision_keeps_its_gradients_dtype(inputs):
    weights, features = inputs
    half = features.astype(jnp.bfloat16)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=(2, 3))
    gradients = gradient(weights, half, 7 * VOCAB, jnp.bfloat16)
    wanted = gradient(weights, features, 1 << 24, jnp.float32)
    assert gradients[0]["table"].dtype == jnp.float32 and gradients[1].dtype == jnp.bfloat16
    np.testing.assert_allclose(gradients[0]["table"], wanted[0]["table"], atol=0.02)


def test_targets_that_do_not_count_at_all_cost_nothing():
    none = jnp.full((2, 3), IGNORED)
    found = mean_loss(lambda x: x, jnp.ones((2, 3, 5)), none)
    assert float(found) == 0
