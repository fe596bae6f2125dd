"""Adapters: nothing changes at first, they alone learn, and merged they are a plain model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.language.texts import config, dataset
from tests.training.line import silent
from workbench.language import Decoder, NextToken, TokenData
from workbench.language.adapters import (
    Adapted,
    Adapter,
    AdapterWeight,
    FineTune,
    merged,
    with_adapters,
)
from workbench.language.bit_linear import BitLinear
from workbench.language.linear import Linear
from workbench.training import Recipe, train

KINDS = ("lora", "rslora", "dora")
X = jax.random.normal(jax.random.key(5), (3, 6))


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def projection(kind):
    return kind(6, 4, dtype=jnp.float32, rngs=nnx.Rngs(params=0), deviation=0.5)


def shaken(adapted):
    """With every adapter weight moved away from where it began."""
    graph, weights, rest = nnx.split(adapted, AdapterWeight, ...)
    leaves, tree = jax.tree.flatten(weights)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    moved = [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    return nnx.merge(graph, jax.tree.unflatten(tree, moved), rest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("linear", [Linear, BitLinear])
def test_a_projection_starts_unchanged_and_follows_its_equation(kind, linear):
    plain = projection(linear)
    adapter = Adapter(kind=kind, rank=2, alpha=3.0)
    first = Adapted(plain, adapter, jax.random.key(1))
    np.testing.assert_allclose(first(X), plain(X), atol=1e-6)
    moved = shaken(first)
    w, a, b = (np.asarray(v[...], np.float64) for v in (plain.kernel, moved.a, moved.b))
    wanted = w + {"lora": 1.5, "rslora": 3 / 2**0.5, "dora": 1.5}[kind] * a @ b
    if kind == "dora":
        np.testing.assert_allclose(first.magnitude[...], np.linalg.norm(w, axis=0), rtol=1e-6)
        wanted *= np.asarray(moved.magnitude[...]) / np.linalg.norm(wanted, axis=0)
    np.testing.assert_allclose(moved.kernel, wanted, atol=1e-6)
    again = projection(linear)
    again.kernel = nnx.Param(jnp.asarray(wanted, jnp.float32))
    np.testing.assert_allclose(moved(X), again(X), atol=1e-5)
    np.testing.assert_allclose(moved.merged()(X), again(X), atol=1e-5)
    assert type(moved.merged()) is linear


def test_dora_holds_the_norm_constant_in_the_backward_pass():
    """Liu et al. 2024, eq. 11: the gradient of V is m / |V| times that of the adapted matrix."""
    moved = shaken(Adapted(projection(Linear), Adapter(kind="dora", rank=2), jax.random.key(1)))
    graph, weights, rest = nnx.split(moved, AdapterWeight, ...)
    found = jax.grad(lambda w: jnp.sum(jnp.square(nnx.merge(graph, w, rest)(X))))(weights)
    of_kernel = 2 * X.T @ (X @ moved.kernel)
    v = moved.linear.kernel[...] + moved.adapter.scale * moved.a[...] @ moved.b[...]
    of_v = of_kernel * (moved.magnitude[...] / jnp.linalg.norm(v, axis=0))[None]
    wanted = moved.adapter.scale * of_v @ moved.b[...].T
    np.testing.assert_allclose(found["a"][...], wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def model():
    return Decoder(config(), rngs=nnx.Rngs(params=0))


def test_projections_are_chosen_by_name(model):
    def names(where):
        adapted = with_adapters(model, Adapter(rank=2), where)
        modules = nnx.iter_modules(adapted)
        return {".".join(map(str, p)) for p, m in modules if isinstance(m, Adapted)}

    layer = "model.layers.0"
    assert names(("q_proj", "down_proj")) == {f"{layer}.attn.q_proj", f"{layer}.mlp.down_proj"}
    assert names(lambda name: ".mlp." in name) == {
        f"{layer}.mlp.{part}_proj" for part in ("gate", "up", "down")
    }
    assert f"{layer}.attn.gk_proj.0" in names(None) and len(names(None)) == 10
    assert not any(isinstance(m, Adapted) for _, m in nnx.iter_modules(model))
    with pytest.raises(ValueError, match=r"where=\('query',\): .*; there are 0, 1, down_proj"):
        names(("query",))
    with pytest.raises(ValueError, match="has adapters already"):
        with_adapters(with_adapters(model, Adapter()), Adapter())


@pytest.mark.slow
def test_adapters_alone_learn_and_merge_into_a_plain_model(model):
    task = NextToken(config(), TokenData(dataset(), length=24))
    tuning = FineTune(task, model, Adapter(kind="dora", rank=4), ("v_proj", "o_proj", "up_proj"))
    tokens = jnp.asarray(task.batch(0).tokens[:2])
    run = jax.jit(lambda m: m(tokens))
    np.testing.assert_allclose(
        run(tuning.model(tuning.init(jax.random.key(3)))), run(model), atol=1e-5
    )
    recipe = Recipe(steps=12, batch_size=8, learning_rate=0.03, schedule="constant", log_every=1)
    result = train(tuning, recipe, report=silent)
    assert result.history["loss"].iloc[-1] < result.history["loss"][0] - 0.02
    assert {leaf.shape[-1] for leaf in jax.tree.leaves(result.params)} <= {4, 16, 32}
    learnt = tuning.model(result.params)
    for before, after in zip(
        jax.tree.leaves(nnx.state(model)),
        jax.tree.leaves(nnx.state(learnt, lambda path, leaf: not isinstance(leaf, AdapterWeight))),
        strict=True,
    ):
        assert (np.asarray(before) == np.asarray(after)).all()
    plain = merged(learnt)
    assert nnx.split(plain)[0] == nnx.split(model)[0]
    np.testing.assert_allclose(run(plain), run(learnt), atol=1e-5)
    assert np.abs(run(plain) - run(model)).max() > 0.01


def test_fine_tuning_knows_its_model(model):
    task = NextToken(config(), TokenData(dataset(), length=24))
    tuning = FineTune(task, model, Adapter())
    other = Decoder(config(), rngs=nnx.Rngs(params=1))
    prints = {
        tuning.fingerprint,
        FineTune(task, other, Adapter()).fingerprint,
        FineTune(task, model, Adapter(rank=4)).fingerprint,
        FineTune(task, model, Adapter(), ("q_proj",)).fingerprint,
    }
    assert len(prints) == 4
    assert tuning.with_recipe(Recipe(batch_size=8)).fingerprint == tuning.fingerprint
    with pytest.raises(ValueError, match="base: its configuration is not that of the task"):
        FineTune(task, Decoder(config(hidden_size=8), rngs=nnx.Rngs(params=0)), Adapter())
