"""A transformer pipeline small enough to compile in seconds: random weights, 8 x 8, ten classes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.dit import ClassLabels, DiT, DiTConfig
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDIM
from workbench.model_files.abstract import abstract

SMALL = DiTConfig(
    num_attention_heads=2,
    attention_head_dim=8,
    num_layers=2,
    in_channels=2,
    out_channels=4,
    sample_size=8,
    num_embeds_ada_norm=10,
)


def random_dit(config: DiTConfig = SMALL, seed: int = 3) -> DiT:
    """Weights drawn by numpy, all of them, gates included, so that every block counts."""
    graph, state = nnx.split(abstract(DiT, config, dtype=jnp.float32))
    draw = np.random.default_rng(seed)

    def fill(path: Any, leaf: Any) -> Any:
        values = draw.normal(size=leaf.shape)
        if "kernel" in jax.tree_util.keystr(path):
            return jnp.asarray(values / np.sqrt(np.prod(leaf.shape[:-1])), leaf.dtype)
        return jnp.asarray(0.3 * values, leaf.dtype)

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(fill, state))


@pytest.fixture(scope="session")
def small_dit() -> DiT:
    return random_dit()


@pytest.fixture(scope="session")
def small(small_dit: DiT) -> Pipeline:
    """Ten DDIM steps with guidance 2."""
    return Pipeline(
        name="small",
        config=small_dit.config,
        weights=flat_weights(small_dit),
        conditioning=ClassLabels(10),
        scheduler=DDIM(clip_sample=False),
        weights_hash="small",
        steps=10,
        guidance=2.0,
        plan=Plan.full(10),
    )


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
