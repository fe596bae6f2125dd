"""A pipeline small enough to compile in seconds: random weights, 8 × 8, ten classes."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.pipeline import Pipeline, flat_weights
from workbench.diffusion.plan import Plan
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.diffusion.unet.program import OUTPUT
from workbench.model_files.abstract import abstract

TINY = UNetConfig(
    sample_size=8,
    in_channels=1,
    out_channels=1,
    block_out_channels=(16, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    norm_num_groups=8,
    cross_attention_dim=8,
    attention_head_dim=2,
)


@dataclass(frozen=True)
class Parts:
    """The tiny UNet's public parts, each jitted on its own."""

    call: Any
    encode: Any
    decode: Any
    full: Any
    shallow: Any
    keeping: Any
    given: Any


def random_unet(config: UNetConfig = TINY, seed: int = 3) -> UNet2DCondition:
    """Weights drawn by numpy: initialising layer by layer would compile for ten seconds."""
    graph, state = nnx.split(abstract(UNet2DCondition, config, dtype=jnp.float32))
    draw = np.random.default_rng(seed)

    def fill(path: Any, leaf: Any) -> Any:
        values = draw.normal(size=leaf.shape)
        names = jax.tree_util.keystr(path)
        if "kernel" in names:
            values = values / np.sqrt(np.prod(leaf.shape[:-1]))
        else:
            values = ("scale" in names) + 0.1 * values
        return jnp.asarray(values, leaf.dtype)

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(fill, state))


def tiny_pipeline(unet: UNet2DCondition, steps: int = 10, guidance: float = 2.0) -> Pipeline:
    """DDIM on a tiny UNet."""
    table = np.random.default_rng(1).normal(size=(11, 3, 8)).astype(np.float32)
    return Pipeline(
        name="tiny",
        config=unet.config,
        weights=flat_weights(unet),
        conditioning=ClassTokens(jnp.asarray(table)),
        scheduler=DDIM(),
        weights_hash="tiny",
        steps=steps,
        guidance=guidance,
        plan=Plan.full(steps),
    )


@pytest.fixture(scope="session")
def tiny_unet() -> UNet2DCondition:
    return random_unet()


@pytest.fixture(scope="session")
def tiny(tiny_unet: UNet2DCondition) -> Pipeline:
    """Ten DDIM steps with guidance 2."""
    return tiny_pipeline(tiny_unet)


@pytest.fixture(scope="session")
def unguided(tiny: Pipeline) -> Pipeline:
    return replace(tiny, guidance=1.0)


@pytest.fixture(scope="session")
def parts(tiny_unet: UNet2DCondition) -> Parts:
    graph, weights = nnx.split(tiny_unet)

    def jitted(name: str, static: tuple[int, ...] = ()) -> Any:
        def run(*given: Any) -> Any:
            return getattr(nnx.merge(graph, weights), name)(*given)

        return jax.jit(run, static_argnums=static)

    def keeping(x: Any, t: Any, context: Any, names: tuple[str, ...]) -> Any:
        return nnx.merge(graph, weights).run(x, t, context, wanted=(OUTPUT, *names))

    def given(x: Any, t: Any, context: Any, values: Any) -> Any:
        return nnx.merge(graph, weights).run(x, t, context, given=values)[OUTPUT]

    return Parts(
        jitted("__call__"), jitted("encode"), jitted("decode"),
        jitted("full", (3,)), jitted("shallow", (4,)),
        jax.jit(keeping, static_argnums=3), jax.jit(given),
    )  # fmt: skip
