"""The transformer, its pipeline and its caches against diffusers, on the same random weights."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")
diffusers = peer("diffusers")

from diffusers.hooks import (  # noqa: E402
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_taylorseer_cache,
)

from workbench.diffusion import (  # noqa: E402
    load_dit,
    load_pipeline,
    sample,
    save_dit,
    save_pipeline,
)
from workbench.diffusion.dit.cached_sampling import CachedPipeline, sample_cached  # noqa: E402
from workbench.diffusion.dit.first_block_steps import FirstBlock  # noqa: E402
from workbench.diffusion.dit.taylor_steps import Taylor  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

FIELDS = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 3,
    "in_channels": 4,
    "out_channels": 8,
    "sample_size": 8,
    "num_embeds_ada_norm": 1000,
}
"""The peer's pipeline takes class 1000 for "no class", whatever the model says."""
STEPS, SEEDS, LABELS = 8, (0, 5), (207, 3)


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def peer(**fields):
    torch.manual_seed(0)
    model = diffusers.DiTTransformer2DModel(**(FIELDS | fields)).eval()
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A whole small pipeline, written by the peer."""
    torch.manual_seed(1)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=4,
    )
    place = tmp_path_factory.mktemp("dit")
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    diffusers.DiTPipeline(peer(), vae, scheduler).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pipeline(folder: Path):
    return load_pipeline(folder, steps=STEPS)


@pytest.fixture(scope="module")
def latents(pipeline):
    """The pipeline without its decoder."""
    return replace(pipeline, vae=None)


def nchw(x) -> torch.Tensor:
    return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)


def close(found, wanted, tolerance: float = 1e-4) -> None:
    gap = np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted)
    assert gap < tolerance, gap


@pytest.mark.parametrize(
    "fields", [{}, {"out_channels": 4, "attention_bias": False, "patch_size": 4}]
)
@pytest.mark.parametrize("size", [8, 16])
def test_both_ways(fields: dict, size: int, tmp_path: Path) -> None:
    """What the peer wrote answers as the peer does, and the peer reads what was written here."""
    theirs = peer(**fields)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_dit(tmp_path / "theirs")
    x = np.random.default_rng(0).standard_normal((3, size, size, 4)).astype(np.float32)
    t, labels = np.array([0, 17, 981]), np.array([3, 999, 1000])
    given = nchw(x), torch.from_numpy(t), torch.from_numpy(labels)
    graph, weights = nnx.split(ours)
    answer = jax.jit(lambda weights, *asked: nnx.merge(graph, weights)(*asked))
    found = answer(weights, jnp.asarray(x), jnp.asarray(t), jnp.asarray(labels))
    with torch.no_grad():
        close(nchw(found), theirs(*given).sample.numpy())
        save_dit(ours, tmp_path / "ours")
        again = diffusers.DiTTransformer2DModel.from_pretrained(tmp_path / "ours").eval()
        close(nchw(found), again(*given).sample.numpy())


def test_pipeline_draws_the_same_picture(folder: Path, pipeline) -> None:
    assert pipeline.guidance == 4.0
    inputs = pipeline.inputs(SEEDS, LABELS)
    found = sample(pipeline, inputs)
    theirs = diffusers.DiTPipeline.from_pretrained(folder)
    theirs.set_progress_bar_config(disable=True)
    wanted, image = follow(theirs, inputs, pipeline.guidance)
    close(found["latents"][:, -1], wanted)
    close(found["image"], image)


def context(model):
    """The peer's own, which it gives to its video models only."""
    return diffusers.models.cache_utils.CacheMixin.cache_context(model, "run")


def follow(theirs, inputs, guidance: float) -> tuple[np.ndarray, np.ndarray]:
    """The peer's loop of its own parts, from given noise; last latents and pictures, NHWC."""
    labels = torch.tensor([*np.asarray(inputs.labels).tolist(), *[1000] * len(inputs.labels)])
    x = nchw(inputs.noise)
    theirs.scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in theirs.scheduler.timesteps:
            output = theirs.transformer(torch.cat([x, x]), t.expand(len(labels)), labels).sample
            asked, blank = output[:, :4].chunk(2)
            x = theirs.scheduler.step(blank + guidance * (asked - blank), t, x).prev_sample
        image = theirs.vae.decode(x / theirs.vae.config.scaling_factor).sample
    image = (image / 2 + 0.5).clamp(0, 1)
    return x.permute(0, 2, 3, 1).numpy(), image.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3])
def test_first_block_cache(folder: Path, latents, threshold: float) -> None:
    inputs = latents.inputs(SEEDS, LABELS)
    found = sample_cached(CachedPipeline(latents, FirstBlock(threshold)), inputs)
    theirs = diffusers.DiTPipeline.from_pretrained(folder)
    apply_first_block_cache(theirs.transformer, FirstBlockCacheConfig(threshold=threshold))
    calls = []
    last = theirs.transformer.transformer_blocks[-1].attn1
    last.register_forward_hook(lambda *_: calls.append(1))
    with context(theirs.transformer):
        wanted, _ = follow(theirs, inputs, latents.guidance)
    close(found["latents"][:, -1], wanted)
    assert found["computed"][0].sum() == len(calls)
    assert len(calls) == STEPS or threshold > 0


@pytest.mark.parametrize(("interval", "order"), [(3, 1), (2, 2)])
def test_taylorseer(folder: Path, latents, interval: int, order: int) -> None:
    """Their first steps in full and their interval, by their own rule of which steps these are."""
    inputs = latents.inputs(SEEDS, LABELS)
    full = tuple(i for i in range(STEPS) if i < 3 or (i - 3 - 1) % interval == 0)
    found = sample_cached(CachedPipeline(latents, Taylor(full, order)), inputs)
    theirs = diffusers.DiTPipeline.from_pretrained(folder)
    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=3,
        max_order=order,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[r"transformer_blocks\.\d+\.(attn1|ff)"],
    )
    apply_taylorseer_cache(theirs.transformer, config)
    with context(theirs.transformer):
        wanted, _ = follow(theirs, inputs, latents.guidance)
    close(found["latents"][:, -1], wanted)
    assert found["computed"][0].sum() == len(full)


def test_pipeline_saved_here_is_read_there(pipeline, tmp_path: Path) -> None:
    save_pipeline(pipeline, tmp_path)
    theirs = diffusers.DiTPipeline.from_pretrained(tmp_path)
    inputs = pipeline.inputs(SEEDS, LABELS)
    wanted, image = follow(theirs, inputs, pipeline.guidance)
    again = load_pipeline(tmp_path, steps=STEPS)
    found = sample(again, inputs)
    close(found["latents"][:, -1], wanted)
    close(found["image"], image)
