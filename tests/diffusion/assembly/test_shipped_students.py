"""The students that ship are what their record says, cut from the teacher that ships."""

import json

import pytest

from workbench import shipped
from workbench.diffusion.assembly.assembled import Assembled
from workbench.diffusion.assembly.assembling import assemble
from workbench.diffusion.assembly.counting import count_of, parameters_of
from workbench.diffusion.assembly.presets import PRESETS, dropped_by
from workbench.diffusion.assembly.students import STUDENTS, TEACHER
from workbench.diffusion.assembly.study import compositions
from workbench.diffusion.assembly.trained import checkpoints, matching
from workbench.diffusion.costs import UNetShape
from workbench.diffusion.digits.recipe import UNET as DIGITS
from workbench.diffusion.folder_hash import hash_of_model, hash_of_weights
from workbench.study.tables import Tables


@pytest.mark.slow
@pytest.mark.parametrize("one", checkpoints(), ids=lambda one: one.student.name)
def test_each_is_its_record(one):
    unet = one.load()
    assert hash_of_model(unet) == one.facts["weights"]
    assert parameters_of(unet.config) == one.facts["parameters"]
    assert unet.config.conv_experts == one.student.experts
    cut = assemble(DIGITS, one.dropped).config
    assert unet.config.model_copy(update={"conv_experts": 1}) == cut


def test_all_are_there_and_of_the_shipped_teacher():
    found = checkpoints()
    assert [one.student for one in found] == list(STUDENTS)
    assert {one.teacher_hash for one in found} == {hash_of_weights(shipped.path(TEACHER))}
    for preset in PRESETS:
        assert matching(DIGITS, dropped_by(DIGITS, preset)).student.name == preset
    assert Assembled("tiny", experts=4).code() == "Assembled(preset='tiny', experts=4)"


def test_the_study_that_ships_is_of_these_compositions():
    folder = shipped.path("data/digits-assembled-study")
    tables, card = Tables.load(folder), json.loads((folder / "card.json").read_text())
    assert tables.methods == [method.name for method in compositions()]
    assert list(card["verdicts"]) == tables.methods[1:]
    by_name = {one.student.name: one.facts for one in checkpoints()}
    teacher = count_of(UNetShape(DIGITS, 16, 16, 4)).macs
    for preset in PRESETS:
        share = by_name[preset]["macs"] / teacher
        assert card["macs_against_teacher"][preset] == pytest.approx(share, abs=1e-4)
