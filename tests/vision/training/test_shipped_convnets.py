"""The small networks that ship are what their record says, and as good."""

import json

import pytest

from workbench import shipped, vision
from workbench.datasets import photograph_patches
from workbench.vision.training import checkpoints, judged
from workbench.vision.training.card import card
from workbench.vision.training.plan import Plan
from workbench.vision.training.shelf import FACTS, FOLDER


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
