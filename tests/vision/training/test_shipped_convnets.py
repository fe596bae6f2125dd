"""The small networks that ship are what their record says, and as good."""

import json

import pytest

from workbench import shipped, vision
from workbench.datasets import digits, photograph_patches
from workbench.vision.training import checkpoints, judged
from workbench.vision.training.card import card
from workbench.vision.training.plan import Plan
from workbench.vision.training.shelf import FACTS, FOLDER, SHIPPED


def test_all_are_there_with_their_card():
    facts = json.loads((shipped.path(FOLDER) / FACTS).read_text())
    assert [one.name for one in checkpoints()] == list(Plan().networks)
    assert (shipped.path(FOLDER) / "card.md").read_text() == card(facts)
    assert facts["data"]["fingerprint"] == photograph_patches().fingerprint
    assert facts["recipe"] == Plan().recipe(0).model_dump(mode="json")
    size = sum(file.stat().st_size for file in shipped.path(FOLDER).rglob("*.safetensors"))
    assert size < 3e6
    floor = facts["data"]["colour_alone"]["high"]
    assert all(one.facts["top1"]["low"] > floor for one in checkpoints())


def test_one_trained_on_digits_is_there_with_its_card():
    place = shipped.path(SHIPPED["digits"])
    facts = json.loads((place / FACTS).read_text())
    (one,) = checkpoints("digits")
    assert one.data == "digits-16" and facts["data"]["fingerprint"] == digits(16).fingerprint
    assert (place / "card.md").read_text() == card(facts)
    assert sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) < 300e3
    assert one.facts["top1"]["low"] > facts["data"]["colour_alone"]["high"]
    assert one.facts["top1"]["count"] == len(digits(16).test)
    network = one.load()
    assert (network.config.in_chans, network.config.num_classes) == (1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", Plan().networks)
def test_each_is_read_as_any_folder_and_judged_as_recorded(name):
    one = next(one for one in checkpoints() if one.name == name)
    model = vision.load(one.folder)
    assert vision.parameters(model) == one.facts["parameters"]
    assert vision.macs(model) == one.facts["macs"]
    found = judged(model, photograph_patches().test).top1
    # A picture between two classes may fall to the other side on another processor.
    assert found.value == pytest.approx(one.facts["top1"]["value"], abs=3 / found.count)


@pytest.mark.slow
def test_digits_are_read_as_well_as_recorded():
    (one,) = checkpoints("digits")
    found = judged(one.load(), digits(16).test).top1
    assert found.value == pytest.approx(one.facts["top1"]["value"], abs=2 / found.count)
