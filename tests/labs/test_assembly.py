"""The assembly page: sums of blocks, clicks on the diagram, what it draws, its claims."""

from typing import Any

import pytest

from workbench.diffusion.assembly.dropping import droppable, kept
from workbench.diffusion.assembly.presets import PRESETS, dropped_by
from workbench.diffusion.switch_speed import predicted_speed
from workbench.labs.diffusion.assembling import boxes, claims, shown
from workbench.labs.diffusion.assembling.form import PRESETS as STARTS
from workbench.labs.diffusion.assembling.form import STUDENT, SWITCH, UNET
from workbench.labs.diffusion.assembling.networks import DIGITS, NAMES, SD15, TD4, network
from workbench.labs.diffusion.assembling.record import shapes
from workbench.labs.diffusion.assembling.view import AssemblyView
from workbench.panels.diagram import TOGGLE, Diagram
from workbench.panels.painting import Stroke
from workbench.panels.settings import accepted, defaults, merged, start
from workbench.panels.view import Values
from workbench.progress import silent


@pytest.fixture(scope="module")
def view() -> AssemblyView:
    return AssemblyView()


def values(view: AssemblyView, **settings: dict[str, Any]) -> Values:
    return accepted(view, start(view, settings))


def diagram(view: AssemblyView, chosen: Values) -> Diagram:
    return view.hints(chosen).diagrams["diagram"]


def states(shown: Diagram) -> dict[str, str]:
    sides = [box for level in shown.levels for box in (*level.down, *level.up, level.whole) if box]
    return {box.id: box.state for box in (*sides, *shown.middle)}


@pytest.mark.parametrize("key", NAMES)
def test_all_blocks_together_are_the_counted_whole(key: str) -> None:
    found = network(key)
    assert found.config == shapes()[key].config
    blocks = [one.macs for one in found.blocks.values()]
    assert found.total.macs == pytest.approx(sum(blocks) + found.rest.macs)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_sum_over_blocks_is_the_count_of_the_cut_network(preset: Any) -> None:
    """Also with transformers alone gone, which no preset does."""
    from workbench.diffusion.assembly.counting import count_without

    found = network(DIGITS)
    names = (*dropped_by(found.config, preset), *TRANSFORMERS[preset])
    counted, ours = count_without(shapes()[DIGITS], names), found.without(names)
    assert (ours.parameters, ours.macs, ours.macs_no_bmm) == pytest.approx(
        (counted.parameters, counted.macs, counted.macs_no_bmm)
    )


def _transformers() -> dict[str, tuple[str, ...]]:
    config = network(DIGITS).config
    found: dict[str, tuple[str, ...]] = {}
    for preset in PRESETS:
        names = dropped_by(config, preset)
        more = [n for n in droppable(config) if n.endswith(".transformers")]
        found[preset] = next(
            ((n,) for n in more if boxes.allowed(network(DIGITS), (*names, n))), ()
        )
    return found


TRANSFORMERS = _transformers()


def test_presets_have_a_first_picture(view: AssemblyView) -> None:
    for preset in STARTS:
        chosen = accepted(view, merged(defaults(view.groups), preset.values))
        assert not view.check(chosen)
        picture = view.predict(chosen)
        assert picture is not None and picture.claim is not None
        assert {"diagram", "cuts", "figures", "drawn"} <= set(picture.contents)


def test_a_click_drops_a_layer_with_the_one_across(view: AssemblyView) -> None:
    chosen = values(view, **{UNET: {"model": SD15}, STUDENT: {"preset": "whole"}})
    assert set(states(diagram(view, chosen)).values()) == {"kept", "fixed"}
    after = view.paint(Stroke(TOGGLE, False, ((0, "down.1.layer.1"),)), chosen)
    assert after == {STUDENT: {"preset": "own", "dropped": "down.1.layer.1"}}
    cut = accepted(view, merged(start(view, {UNET: {"model": SD15}}), after))
    gone = {name for name, state in states(diagram(view, cut)).items() if state == "gone"}
    assert gone == {"down.1.layer.1", "up.2.layer.1"}
    # The partner brings both back.
    assert view.paint(Stroke(TOGGLE, True, ((0, "up.2.layer.1"),)), cut) == {
        STUDENT: {"preset": "whole", "dropped": ""}
    }


def test_what_cannot_go_says_why(view: AssemblyView) -> None:
    chosen = values(view, **{UNET: {"model": SD15}, STUDENT: {"preset": "whole"}})
    known = {
        box.id: box for level in diagram(view, chosen).levels for box in (*level.down, *level.up)
    }
    assert known["down.1.layer.0"].state == "fixed"
    assert "it changes the width" in known["down.1.layer.0"].why
    assert view.paint(Stroke(TOGGLE, False, ((0, "down.1.layer.0"),)), chosen) is None
    assert known["conv_in"].state == "fixed"
    assert view.paint(Stroke(TOGGLE, False, ((0, "conv_in"),)), chosen) is None


def test_every_click_on_a_kept_box_leads_to_a_set_that_can_be_dropped() -> None:
    found = network(SD15)
    for name, state in states(boxes.diagram(found, dropped_by(found.config, "base"))).items():
        after = boxes.after(found, dropped_by(found.config, "base"), name)
        if state == "kept":
            assert after is not None
            kept(found.config, after)
            assert name in boxes.struck(found, after)
        elif state == "fixed":
            assert after is None


def test_transformers_of_a_block_go_alone() -> None:
    found = network(SD15)
    names = ("down.1.transformers",)
    gone = {name for name, state in states(boxes.diagram(found, names)).items() if state == "gone"}
    assert gone == set(names)
    assert found.without(names).macs < found.total.macs


def test_bad_settings_are_one_clear_line(view: AssemblyView) -> None:
    own = {"preset": "own", "dropped": "down.9.layer.1"}
    [problem] = view.check(values(view, **{STUDENT: own}))
    assert (problem.group, problem.field) == (STUDENT, "dropped")
    assert "has nothing called 'down.9.layer.1'" in problem.message
    [problem] = view.check(values(view, **{SWITCH: {"steps": 20, "switch": 30}}))
    assert problem.message == "Student until 30: a run has 20 steps, so that or fewer"
    with pytest.raises(ValueError, match="Only the shipped digits"):
        next(view.run(values(view, **{UNET: {"model": SD15}}), silent))


def test_switching_lies_between_both() -> None:
    found = network(SD15)
    left = found.without(dropped_by(found.config, "tiny"))
    speeds = [predicted_speed(left.macs, found.total.macs, 50, switch) for switch in (0, 25, 50)]
    assert speeds[0] == 1
    assert speeds[2] == pytest.approx(found.total.macs / left.macs)
    assert speeds[0] < speeds[1] < speeds[2]


def test_published_sizes_are_counted_again() -> None:
    card = claims.scalability()
    assert [row.verdict for row in card.rows[:-1]] == ["reproduced"] * 6
    assert card.rows[4].here == "45 %"
    whole = network(SD15).total
    sizes = claims.assembly("x", whole, whole, None, "").rows[-3:]
    assert [row.verdict for row in sizes] == ["reproduced"] * 3
    assert network(TD4).total.parameters == pytest.approx(1.32e9, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("down.3", "down.2", "mid"),
        ("down.3", "up.1.layer.1"),
        ("down.3", "mid.transformers"),
    ],
)
def test_a_stage_that_lost_all_inside_it_reads_its_own_width(names: tuple[str, ...]) -> None:
    from workbench.diffusion.assembly.counting import count_without

    counted, ours = count_without(shapes()[SD15], names), network(SD15).without(names)
    assert (ours.parameters, ours.macs) == pytest.approx((counted.parameters, counted.macs))


@pytest.mark.slow
@pytest.mark.long
def test_a_trained_student_draws(view: AssemblyView) -> None:
    *_, found = view.run(values(view), silent)
    assert found.basis == "measured"
    drawn = next(iter(view.known.values()))
    assert drawn.trained
    assert drawn.pictures[shown.WHOLE].shape == drawn.pictures[shown.STUDENT].shape
    assert (drawn.pictures[shown.WHOLE] != drawn.pictures[shown.STUDENT]).any()
    assert found.claim is not None
    assert found.claim.rows[0].here != "not run"
