"""The classifier that judges samples."""

import jax
import numpy as np
import pytest
from flax import nnx

from workbench.checkpoints import CheckpointError
from workbench.datasets import digits
from workbench.diffusion.classifier import (
    Classifier,
    ClassifierConfig,
    ClassifierNet,
    load_classifier,
    save_classifier,
)
from workbench.shipped import path


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return load_classifier(path("data/digits-unet/classifier"))


def test_at_least_97_percent_of_unseen_images(shipped: Classifier) -> None:
    test = digits(16).test
    right = shipped.predict(test.images.astype(np.float32) / 255) == test.labels
    assert right.mean() >= 0.97


def test_features_lead_to_the_logits(shipped: Classifier) -> None:
    images = digits(16).test.images[:7].astype(np.float32) / 255
    features = shipped.features(images)
    assert features.shape == (7, shipped.config.features)
    np.testing.assert_allclose(shipped.net.head(features), shipped.logits(images), atol=1e-4)


@pytest.mark.slow
def test_saved_and_read_back(tmp_path) -> None:
    config = ClassifierConfig(image_size=8, widths=(4, 4, 4), features=5, classes=3)
    made = Classifier(ClassifierNet(config, rngs=nnx.Rngs(0)), config)
    save_classifier(made, tmp_path)
    again = load_classifier(tmp_path)
    images = np.asarray(jax.random.uniform(jax.random.key(0), (2, 8, 8, 1)))
    np.testing.assert_array_equal(made.logits(images), again.logits(images))


def test_wrong_images_are_named(shipped: Classifier) -> None:
    with pytest.raises(ValueError, match=r"needed \[B, 16, 16, 1\]"):
        shipped.logits(np.zeros((2, 8, 8, 1), np.float32))


@pytest.mark.usefixtures("unchecked_shapes")
def test_bytes_are_not_taken_for_floats(shipped: Classifier) -> None:
    with pytest.raises(ValueError, match="images are uint8"):
        shipped.logits(digits(16).test.images[:2])


def test_broken_folders_are_named(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        load_classifier(tmp_path)
    (tmp_path / "config.json").write_text('{"classes": 1}')
    with pytest.raises(CheckpointError, match="not a classifier's config"):
        load_classifier(tmp_path)
