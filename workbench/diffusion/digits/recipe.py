"""Recipe of the shipped model: a class-conditional diffusion model of handwritten digits.

Command     python -m workbench.diffusion.digits.train
Hardware    CPU; the shipped weights were made on 2 cores that other work shared
Minutes     23 for the model and 2 for the classifier there, and about 1 each to compile
Expect      classifier: 99.0 % of the test images; model, DPM-Solver++ 20 steps, guidance 1.5:
            over 95 % of 1,000 samples show the class asked for, varied and not copied
            (python -m workbench.diffusion.digits.evaluate --samples 1000)

The UNet's outer level is 64 wide without attention: on a CPU narrower outer layers spend their time
on normalisation and copies, and then reusing inner features saves less time than arithmetic.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from workbench.datasets import Dataset, Images, batch_at, digits
from workbench.diffusion.classifier import ClassifierConfig, ClassifierNet
from workbench.diffusion.conditioning import ClassTokens
from workbench.diffusion.digits.augmentation import Augmentation
from workbench.diffusion.schedulers import DDIM
from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.model_files.abstract import abstract
from workbench.training import Recipe

SIZE, CLASSES, TOKENS = 16, 10, 4
LABEL_DROPOUT = 0.12
"""Share of images shown under "no class", which is what guidance needs."""

UNET = UNetConfig(
    sample_size=SIZE,
    in_channels=1,
    out_channels=1,
    block_out_channels=(64, 64, 96),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=4,
    cross_attention_dim=64,
    norm_num_groups=8,
    use_linear_projection=True,
)

# Velocity and a schedule that ends in noise alone: a first step must know nothing of the image, or
# the dark background, which is most of a digit, comes out grey. The sampler does not clip: it would
# clip the predicted image and not the predicted noise, and guidance then pulls the two apart.
SCHEDULER = DDIM(
    beta_schedule="squaredcos_cap_v2",
    prediction_type="v_prediction",
    timestep_spacing="trailing",
    clip_sample=False,
)

UNET_RECIPE = Recipe(
    steps=2400,
    batch_size=32,
    learning_rate=1e-3,
    warmup=100,
    schedule="cosine",
    final_fraction=0.02,
    betas=(0.9, 0.99),
    clip_norm=1.0,
    ema_decay=0.997,
    log_every=25,
    checkpoint_every=250,
    seed=0,
)
UNET_AUGMENTATION = Augmentation(turn=3, shift=0.35, stretch=0.03, shear=0.03)

CLASSIFIER = ClassifierConfig(image_size=SIZE, channels=1, classes=CLASSES, data=f"digits-{SIZE}")
CLASSIFIER_RECIPE = Recipe(
    steps=2500,
    batch_size=128,
    learning_rate=2e-3,
    warmup=100,
    schedule="cosine",
    weight_decay=0.02,
    clip_norm=1.0,
    ema_decay=0.995,
    log_every=50,
    checkpoint_every=500,
    seed=1,
)
CLASSIFIER_AUGMENTATION = Augmentation(turn=7, shift=0.8, stretch=0.07, shear=0.1)
LABEL_SMOOTHING = 0.05


class DiffusionTask:
    """Denoising of training images: mean squared error of the velocity, at even timesteps.

    Weights are ``{"unet": nnx.State, "tokens": table}``.

    Args:
        data: images with labels; the digits when None.
        augmentation: how far the images are moved.
    """

    def __init__(
        self,
        recipe: Recipe = UNET_RECIPE,
        config: UNetConfig | None = None,
        data: Dataset[Images] | None = None,
        augmentation: Augmentation = UNET_AUGMENTATION,
    ):
        self.recipe, self.config, self.augmentation = recipe, config or UNET, augmentation
        self.data = digits(SIZE) if data is None else data
        self.classes = int(self.data.train.labels.max()) + 1
        self.fingerprint = _fingerprint(
            self.data.fingerprint, self.config, SCHEDULER, augmentation, LABEL_DROPOUT, TOKENS
        )

    @functools.cached_property
    def graph(self) -> Any:
        """The module tree without weights."""
        return nnx.split(abstract(UNet2DCondition, self.config, dtype=jnp.float32))[0]

    def init(self, key: Array) -> dict[str, Any]:
        unet_key, token_key = jax.random.split(key)
        unet = UNet2DCondition(self.config, rngs=nnx.Rngs(unet_key))
        width = self.config.cross_attention_dim
        tokens = ClassTokens.create(self.classes, TOKENS, width, token_key)
        return {"unet": nnx.split(unet)[1], "tokens": tokens.table}

    def loss(
        self, params: dict[str, Any], batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        x0, labels = batch["images"], batch["labels"]
        time_key, noise_key, drop_key = jax.random.split(key, 3)
        t = even_timesteps(time_key, len(x0), SCHEDULER.num_train_timesteps)
        noise = jax.random.normal(noise_key, x0.shape)
        dropped = jax.random.uniform(drop_key, labels.shape) < LABEL_DROPOUT
        context = params["tokens"][jnp.where(dropped, self.classes, labels)]
        unet = nnx.merge(self.graph, params["unet"])
        output = unet(SCHEDULER.add_noise(x0, noise, t), t, context)
        return jnp.mean((output - SCHEDULER.target(x0, noise, t)) ** 2), {}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        images, labels = _moved(self.data.train, self.recipe, self.augmentation, step)
        return {"images": 2 * images - 1, "labels": labels}


class ClassifierTask:
    """Classes of training digits: cross-entropy with smoothed labels."""

    def __init__(self, recipe: Recipe = CLASSIFIER_RECIPE):
        self.recipe = recipe
        self.data = digits(SIZE)
        self.fingerprint = _fingerprint(
            self.data.fingerprint, CLASSIFIER, CLASSIFIER_AUGMENTATION, LABEL_SMOOTHING
        )

    @functools.cached_property
    def graph(self) -> Any:
        """The module tree without weights."""
        return nnx.split(nnx.eval_shape(lambda: ClassifierNet(CLASSIFIER, rngs=nnx.Rngs(0))))[0]

    def init(self, key: Array) -> Any:
        return nnx.split(ClassifierNet(CLASSIFIER, rngs=nnx.Rngs(key)))[1]

    def loss(
        self, params: Any, batch: dict[str, Any], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        logits = nnx.merge(self.graph, params)(batch["images"])
        asked = jax.nn.one_hot(batch["labels"], CLASSES)
        smooth = asked * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / CLASSES
        right = jnp.mean((logits.argmax(1) == batch["labels"]).astype(jnp.float32))
        return -jnp.mean(jnp.sum(smooth * jax.nn.log_softmax(logits), axis=1)), {"accuracy": right}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        images, labels = _moved(self.data.train, self.recipe, CLASSIFIER_AUGMENTATION, step)
        return {"images": images, "labels": labels}

    def evaluate(self, params: Any) -> dict[str, float]:
        """Accuracy on the held-out forms. It chooses nothing: the last weights are kept."""
        test = self.data.test
        logits = jax.jit(nnx.merge(self.graph, params))(test.images.astype(np.float32) / 255)
        return {"test_accuracy": float(np.mean(np.asarray(logits).argmax(1) == test.labels))}


def even_timesteps(key: Array, count: int, total: int) -> Int[Array, " B"]:
    """Timesteps at equal distances from one random start, so that no batch lacks a noise level."""
    at = (jax.random.uniform(key) + jnp.arange(count) / count) % 1.0
    return jnp.clip((at * total).astype(jnp.int32), 0, total - 1)


def _moved(
    split: Images, recipe: Recipe, augmentation: Augmentation, step: int
) -> tuple[Float[np.ndarray, "B H W C"], Int[np.ndarray, " B"]]:
    batch = batch_at(split, recipe.batch_size, recipe.seed, step)
    return augmentation(batch.values, recipe.seed, step), batch.labels


def _fingerprint(*parts: Any) -> str:
    return "; ".join(part if isinstance(part, str) else repr(part) for part in parts)
