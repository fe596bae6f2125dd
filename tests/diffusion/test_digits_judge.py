"""The judge lets real test images pass, and copies, sameness and wrong classes fail."""

import numpy as np
import pytest

from workbench.datasets import Dataset, Images, digits
from workbench.diffusion.classifier import Classifier, load_classifier
from workbench.diffusion.digits.judge import judge
from workbench.shipped import path


@pytest.fixture(scope="module")
def data() -> Dataset[Images]:
    return digits(16)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(path("data/digits-unet/classifier"))


def in_unit(split: Images) -> np.ndarray:
    return split.images.astype(np.float32) / 255


def test_real_test_images_pass(data, classifier) -> None:
    found = judge(in_unit(data.test), data.test.labels, data, classifier)
    assert found.faults() == []
    assert found.distance_ratio == pytest.approx(1)
    assert found.diversity_ratio == pytest.approx(1)
    assert found.too_near <= 0.015
    assert found.toy_fid == pytest.approx(0, abs=1e-2)


def test_training_images_fail_as_copies(data, classifier) -> None:
    found = judge(in_unit(data.train), data.train.labels, data, classifier)
    assert found.distance_ratio < 1e-3
    assert found.too_near == 1
    assert sum("training" in fault for fault in found.faults()) == 2


def test_copies_under_slight_noise_fail(data, classifier) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, data.train.images.shape).astype(np.float32)
    samples = np.clip(in_unit(data.train) + noise, 0, 1)
    found = judge(samples, data.train.labels, data, classifier)
    assert any("copying" in fault for fault in found.faults())


def test_a_third_of_copies_among_real_images_fails(data, classifier) -> None:
    samples = np.concatenate([in_unit(data.test), in_unit(data.train)[:191]])
    labels = np.concatenate([data.test.labels, data.train.labels[:191]])
    found = judge(samples, labels, data, classifier)
    assert any("nearly repeat" in fault for fault in found.faults())


def test_one_picture_for_each_class_fails_as_not_varied(data, classifier) -> None:
    first = np.array([np.flatnonzero(data.test.labels == k)[0] for k in range(10)])
    chosen = np.tile(first, 20)
    found = judge(in_unit(data.test)[chosen], data.test.labels[chosen], data, classifier)
    assert found.diversity_ratio < 0.1
    assert any("varied" in fault for fault in found.faults())


def test_wrong_classes_fail(data, classifier) -> None:
    labels = ((data.test.labels + 1) % 10).astype(np.int32)
    found = judge(in_unit(data.test), labels, data, classifier)
    assert any("class asked for" in fault for fault in found.faults())
