"""The study that the lab opens with was made with the model that ships."""

import json

from workbench.diffusion.pipeline import Pipeline
from workbench.labs.diffusion import record
from workbench.shipped import path


def test_what_a_preset_shows_is_recorded():
    assert record.preset_codes() <= {method.code() for method in record.methods()}
    assert "EncoderPropagation(injection=0.003)" in record.preset_codes()


def test_the_recorded_study_is_of_the_shipped_weights():
    about = json.loads((path("data/diffusion-lab") / "lab.json").read_text(encoding="utf-8"))
    assert about["weights"] == Pipeline.load(path("data/digits-unet")).weights_hash
