"""The lab's judge against real test pictures, wrong labels, copies and noise."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from workbench import shipped
from workbench.datasets import digits
from workbench.diffusion.full_sampling import FullSampling
from workbench.diffusion.population import frechet_distance
from workbench.labs import diffusion
from workbench.labs.diffusion.judge import judge_of
from workbench.labs.diffusion.sampling_study import MODEL
from workbench.study.study import Outcome

CLASSES = 10
SUBJECT = SimpleNamespace(tokens=SimpleNamespace(classes=CLASSES))


@pytest.fixture(scope="module")
def judge():
    return judge_of(str(shipped.path(MODEL)))


@pytest.fixture(scope="module")
def real():
    """Test pictures and their labels, which the classifier never saw."""
    test = digits(16).test
    return test.images.astype(np.float32) / 255, test.labels


def outcome(judge, images, asked):
    """Pictures as if they had been sampled for seeds that ask for these classes."""
    seeds = tuple(int(label) + CLASSES * place for place, label in enumerate(asked))
    outputs = {"image": images}
    outputs |= judge.derived(outputs)
    return Outcome(FullSampling(), SUBJECT, seeds, lambda s: None, outputs, outputs)


def answer(judge, name, *made):
    (probe,) = [probe for probe in judge.probes if probe.name == name]
    return probe.measure(outcome(judge, *made))


def test_real_test_pictures_are_of_their_class(judge, real):
    images, labels = real
    assert len(images) > 300
    assert answer(judge, "agreement", images, labels).mean() >= 97


def test_wrong_labels_are_seen(judge, real):
    images, labels = real
    assert answer(judge, "agreement", images, (labels + 1) % CLASSES).mean() < 3


def test_copies_are_not_diverse(judge, real):
    images, labels = real
    first = images[[np.flatnonzero(labels == label)[0] for label in range(CLASSES)]]
    asked = np.arange(CLASSES)
    copies = answer(judge, "diversity", np.repeat(first, 3, axis=0), np.repeat(asked, 3))
    varied = answer(judge, "diversity", images, labels)
    # Equal features may differ in their last bit where they lie in another place of the batch.
    assert copies == pytest.approx(0, abs=1e-5 * varied) and varied > 1


def test_toy_kid_tells_real_pictures_from_others(judge, real):
    images, labels = real
    half = np.arange(len(images)) % 2 == 0
    side = replace(judge, real={k: v[half[labels == k]] for k, v in judge.real.items()})
    near = answer(side, "toy_kid", images[~half], labels[~half])
    noise = np.random.default_rng(0).uniform(size=images[~half].shape).astype(np.float32)
    others = [
        answer(side, "toy_kid", noise, labels[~half]),
        answer(side, "toy_kid", images[~half], (labels[~half] + 1) % CLASSES),
        answer(side, "toy_kid", np.roll(images[~half], 4, axis=2), labels[~half]),
    ]
    assert abs(near) < 0.05 * min(others), (near, others)


def test_toy_fid_is_the_frechet_distance_of_all_classes_pooled(judge, real):
    images, labels = real
    half = np.arange(len(images)) % 2 == 0
    side = replace(judge, real={k: v[half[labels == k]] for k, v in judge.real.items()})
    near = answer(side, "toy_fid", images[~half], labels[~half])
    shown = np.asarray(judge.classifier.features(images))
    known = frechet_distance(shown[~half], shown[half])
    assert near == pytest.approx(known, rel=1e-6) and near > 0
    noise = np.random.default_rng(0).uniform(size=images[~half].shape).astype(np.float32)
    assert answer(side, "toy_fid", noise, labels[~half]) > 3 * near
    assert answer(side, "toy_fid", images[~half], (labels[~half] + 1) % CLASSES) == near


def test_toy_fid_needs_every_class(judge, real):
    images, labels = real
    first = np.array([np.flatnonzero(labels == label)[0] for label in range(CLASSES)])
    assert np.isfinite(answer(judge, "toy_fid", images[first], labels[first]))
    assert np.isnan(answer(judge, "toy_fid", images[first[:8]], labels[first[:8]]))


def test_toy_fid_is_named_with_its_features_and_count():
    probe = diffusion.study(seeds=24).probe("toy_fid")
    assert probe.label == "toy-FID (features: 64 of the digits-16 classifier, n=24)"
    assert probe.better == "lower" and probe.level == "population"


def test_fewer_than_two_of_a_class_have_no_distance(judge, real):
    images, labels = real
    order = np.argsort(labels, kind="stable")
    ranks = np.concatenate([np.arange((labels == k).sum()) for k in range(CLASSES)])
    two, one = order[ranks < 2], order[(ranks < 2)][1:]
    for name in ("toy_kid", "diversity"):
        assert np.isfinite(answer(judge, name, images[two], labels[two]))
        assert np.isnan(answer(judge, name, images[one], labels[one]))


def test_the_studys_own_seeds_give_every_number_an_interval(judge):
    counts = np.bincount(np.array(diffusion.study().seeds) % CLASSES)
    assert counts.min() - 1 >= 2, "one picture left out, two of each class remain"


def test_other_data_has_no_real_pictures_to_be_held_against(tmp_path):
    place = tmp_path / "model" / "classifier"
    shutil.copytree(shipped.path(MODEL) / "classifier", place)
    config = json.loads((place / "config.json").read_text())
    for data in ("my-photos", "", None):
        if data is None:
            del config["data"]
        else:
            config["data"] = data
        (place / "config.json").write_text(json.dumps(config))
        judge_of.cache_clear()
        names = [probe.name for probe in judge_of(str(tmp_path / "model")).probes]
        assert names == ["agreement", "diversity"]


def test_no_classifier_no_judge(tmp_path):
    assert judge_of("") is None and judge_of(str(tmp_path)) is None
