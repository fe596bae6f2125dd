"""Blind pairs of the lab: from the panel's settings, and opened again from code."""

import numpy as np
import pytest

from tests.labs import tiny
from workbench.diffusion.encoder_propagation import EncoderPropagation
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.labs import diffusion
from workbench.labs.diffusion import blind_pairs
from workbench.labs.diffusion.methods import sampling
from workbench.labs.diffusion.pictures import png
from workbench.labs.diffusion.view import DiffusionView
from workbench.panels import Panel
from workbench.panels.settings import accepted, start
from workbench.study import compare


def blind_view(panel_settings=None):
    lab = DiffusionView()
    return blind_pairs.BlindView(lab, accepted(lab, start(lab, panel_settings)))


def test_blind_pairs_start_from_the_recorded_pictures_of_the_method_looked_at():
    view = blind_view({"sampling": {"look": "Feature inheritance"}})
    picture = view.predict(accepted(view, start(view, None)))
    content = picture.contents["pairs"]
    assert content.names == ("Full sampling", "Feature inheritance")
    assert picture.basis == "recorded" and len(content.pairs) == 8
    other = blind_view({"sampling": {"steps": 20}})
    panel = Panel(other)
    assert other.predict(panel.values) is None
    assert panel.status["text"] == "Nothing to show yet"
    assert panel.status["action"] == {"id": "run", "label": "Draw pairs"}
    panel.close()


@pytest.mark.slow
@pytest.mark.long
def test_blind_pairs_take_model_method_and_settings_of_the_panel(home):
    lab = diffusion.open(
        [EncoderPropagation, FewerSteps],
        pipeline=tiny.pipeline(),
        settings={
            "sampling": {"steps": 8, "look": "Fewer steps", "guidance": 2.0},
            "fewer_steps": {"steps": 4},
        },
    )
    panel = diffusion.blind(lab)
    assert "DDIM 8, guidance 2" in panel.view.study_line
    panel.load({"pairs": {"first_seed": 300}})
    panel.run()
    assert panel.wait(200)
    assert panel.status["kind"] == "done", panel.status
    content = panel.picture.contents["pairs"]
    assert len(set(content.pairs)) == 20 and content.names == ("Full sampling", "Fewer steps")
    about = diffusion.study(tiny.pipeline(), steps=8, guidance=2.0, seeds=range(300, 320))
    found = compare([FullSampling(), FewerSteps(steps=4)], about, repeats=0)
    for side, name in (("first", "Full sampling"), ("second", "Fewer steps")):
        images = np.rint(255 * found.outputs[name]["image"]).astype(np.uint8)
        assert [getattr(pair, side) for pair in content.pairs] == [png(image) for image in images]
    for _ in range(20):
        panel._on_answer({"slot": "pairs", "side": "same"})
    verdict = panel.answers["pairs"]["verdict"]
    assert verdict.startswith("Fewer steps wins 50 % of 20 pairs against Full sampling (95 %")
    assert verdict.endswith("These pairs do not decide it.")
    lab.close()
    panel.close()


def test_the_blind_page_opens_again_from_its_code():
    view = blind_view({"encoder_propagation": {"key_steps": "uniform", "interval": 7}})
    values = accepted(view, start(view, {"pairs": {"rival": "Fewer steps"}}))
    given = {}
    exec(view.code(values).replace("diffusion.blind(", "panel = diffusion.blind("), given)
    again = given["panel"].view
    assert sampling(again.settings).look == "Fewer steps"
    assert [m.code() for m in again.methods.values()] == [m.code() for m in view.methods.values()]
    given["panel"].close()


def test_blind_pairs_need_a_panel_of_this_lab():
    other = Panel(blind_view())
    with pytest.raises(TypeError, match="not 'Blind comparison'"):
        diffusion.blind(other)
    other.close()
