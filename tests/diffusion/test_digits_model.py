"""The model that ships: right digits, varied, and not copied."""

import json

import numpy as np
import pytest

from workbench.datasets import digits
from workbench.diffusion.classifier import load_classifier
from workbench.diffusion.digits.evaluate import draw, main
from workbench.diffusion.digits.judge import judge
from workbench.diffusion.pipeline import Pipeline
from workbench.shipped import path

FOLDER = "data/digits-unet"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(path(FOLDER), steps=50, guidance=1.5)


@pytest.mark.slow
@pytest.mark.long
def test_a_few_steps_give_the_class_asked_for(pipeline: Pipeline) -> None:
    images, labels = draw(pipeline.with_sampling(sampler="dpm++", steps=12), 100)
    right = load_classifier(path(FOLDER) / "classifier").predict(images) == labels
    assert right.mean() > 0.9


def test_the_checkpoint_is_a_few_megabytes(pipeline: Pipeline) -> None:
    folder = path(FOLDER)
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 9e6
    assert pipeline.config.down_block_types[0] == "DownBlock2D"


def test_the_record_is_of_these_weights_and_has_no_fault(pipeline: Pipeline) -> None:
    record = json.loads((path(FOLDER) / "evaluation.json").read_text(encoding="utf-8"))
    assert record["weights"] == pipeline.weights_hash
    assert record["count"] >= 1000
    assert record["agreement"] > 0.95
    assert record["faults"] == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_samples_are_right_varied_and_new(pipeline: Pipeline) -> None:
    """As the card was made, on other seeds."""
    images, labels = draw(pipeline.with_sampling(sampler="dpm++", steps=20), 1000, seed=1)
    classifier = load_classifier(path(FOLDER) / "classifier")
    found = judge(images, labels, digits(16), classifier)
    assert found.count == 1000
    assert np.bincount(labels).tolist() == [100] * 10
    assert found.faults() == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_command_writes_what_it_found(tmp_path) -> None:
    file = tmp_path / "evaluation.json"
    main(["--samples", "100", "--sampler", "dpm++", "--steps", "10", "--out", str(file)])
    assert json.loads(file.read_text(encoding="utf-8"))["count"] == 100
