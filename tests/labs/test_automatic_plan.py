"""The automatic plan's panel: shipped evidence, a search with its verdict, and plans taken away."""

import json
from dataclasses import replace

import jax
import pytest

from tests.labs import tiny
from workbench.diffusion.automatic import surveying
from workbench.diffusion.automatic.survey import Survey
from workbench.diffusion.plan import Plan
from workbench.labs import diffusion
from workbench.labs.diffusion import automatic_view
from workbench.labs.diffusion.automatic_judged import (
    AUTOMATIC,
    FEWER,
    HAND_MADE,
    Contender,
    Judged,
    fronts,
    read,
    rivals,
    verdict,
)
from workbench.labs.diffusion.automatic_view import GROUP, AutomaticView
from workbench.panels.settings import accepted, start
from workbench.progress import Cancelled

PLAN = Plan.from_full_steps(range(0, 50, 2), 50, "shallow")


def contender(origin, name, seconds, level, plan=PLAN):
    ssim = tuple(level + 0.001 * (seed % 3) for seed in range(32))
    return Contender(origin, name, plan, seconds, seconds, ssim)


def judged(*contenders):
    drift = {block: [None, *[0.1] * 49] for block in ("down.0", "mid", "up.0")}
    choice = {"plan": PLAN.record(), "reason": "The nearest plan changes it by 2 %.", "advice": ""}
    none = {"plan": None, "reason": "Steps differ too much.", "advice": "Try fewer pictures."}
    told = {"hand-made, seconds saved": "No difference is shown."}
    return Judged(contenders, told, choice, none, drift, "DDIM, 50 steps", "a CPU", "1 May")


@pytest.fixture
def shown(monkeypatch):
    """A view in which evidence ships."""
    ships = judged(
        contender(AUTOMATIC, "budget=0.5, tolerance=1", 0.5, 0.97),
        contender(AUTOMATIC, "budget=0.3, tolerance=1", 0.3, 0.95),
        contender(HAND_MADE, "DeepCache, every 2", 0.5, 0.96),
        contender(FEWER, "25 steps", 0.5, 0.9),
    )
    monkeypatch.setattr(automatic_view, "shipped_judging", lambda: ships)
    return diffusion.automatic_plan()


def test_shipped_evidence_stands_first_and_is_labelled(shown):
    assert (
        shown.status["kind"] == "idle" and "Shipped result, measured 1 May" in shown.status["text"]
    )
    contents = shown.picture.contents
    assert {"front", "verdicts", "drift", "plans"} == set(contents)
    methods = {row["method"] for row in contents["front"].rows["live"]}
    assert methods == {"Automatic plan", "Hand-made lists", "Full, fewer steps"}
    words = [str(row[1]) for row in contents["verdicts"].rows]
    assert "No difference is shown." in words
    assert any(word.startswith("None is worth it. Steps differ") for word in words)
    assert [row[0].text for row in contents["plans"].rows] == ["50 % of full", "30 % of full"]
    # The plan nearest to the budget asked for is on the map; a clicked one takes its place.
    assert "budget=0.5" in shown.picture.contents["front"].chart.arguments["current"]
    shown.load(shown.view.load("automatic: budget=0.3, tolerance=1"))
    assert "budget=0.3" in shown.picture.contents["front"].chart.arguments["current"]
    shown.load({"sampling": {"steps": 20}})
    assert shown.status["kind"] == "empty"
    with pytest.raises(ValueError, match="No plan was chosen yet"):
        shown.view.export("plan-json", shown.values, shown.picture)
    shown.close()


def test_the_plan_looked_at_leaves_as_a_file(shown):
    name, content = shown.view.export("plan-json", shown.values, shown.picture)
    assert name == "plan-json.json" and Plan.of_json(content.decode()) == PLAN
    found = {}
    text = shown.view.code(shown.values)
    compile(text, "copied", "exec", dont_inherit=True)
    assert "AutomaticPlan()" in text and "plan_editor" in text, found
    shown.close()


def test_the_verdict_is_paired_and_may_be_none():
    own = contender(AUTOMATIC, "ours", 0.5, 0.97)
    worse, slower = contender(HAND_MADE, "list", 0.5, 0.96), contender(HAND_MADE, "slow", 0.8, 0.99)
    assert verdict([own, worse, slower]).startswith("The automatic plan is nearer")
    assert "list" in verdict([own, worse, slower])
    better = contender(HAND_MADE, "list", 0.4, 0.98)
    assert verdict([own, better]).startswith("The rival is nearer")
    same = replace(own, origin=HAND_MADE, ssim=tuple(reversed(own.ssim)))
    assert verdict([own, same]).startswith("No difference is shown")
    assert verdict([own, slower]) == "No rival that was judged takes as little time."
    assert verdict([worse]) == ""


def test_fronts_are_compared_by_area_with_a_paired_interval():
    ours = [contender(AUTOMATIC, "a", 0.5, 0.97), contender(AUTOMATIC, "b", 0.3, 0.95)]
    lists = [contender(HAND_MADE, "every 2", 0.5, 0.9), contender(HAND_MADE, "every 5", 0.2, 0.5)]
    said = fronts([*ours, *lists, contender(FEWER, "25 steps", 0.5, 1.0)], well_timed=False)
    ((name, sentence),) = said.items()
    assert name == "hand-made, operations saved"
    # 0.5 x 0.971 + 0.2 x 0.951 against 0.5 x 0.901 + 0.3 x 0.501, by hand.
    level = 0.001 * sum(seed % 3 for seed in range(32)) / 32
    mine = 0.5 * (0.97 + level) + 0.2 * (0.95 + level)
    theirs = 0.5 * (0.9 + level) + 0.3 * (0.5 + level)
    assert f"hypervolume {mine:.4f} against {theirs:.4f}, {mine - theirs:+.4f} (" in sentence
    assert "32 seeds" in sentence and sentence.endswith("2 automatic plans against 2 lists.")
    assert set(fronts([*ours, *lists], well_timed=True)) == {name, "hand-made, seconds saved"}
    untimed = [replace(one, seconds=None) for one in lists]
    assert set(fronts([*ours, *untimed], well_timed=True)) == {name}


def test_what_was_recorded_reads_back(tmp_path):
    rows = [
        {
            "origin": AUTOMATIC,
            "name": "budget=0.5",
            "plan": PLAN.record(),
            "operations": 0.4,
            "seconds": None,
            "ssim": [0.9, 0.8],
        }
    ]
    about = {
        "plans": rows,
        "verdicts": {"hand-made, operations saved": {"sentence": "No difference is shown."}},
        "default": {"plan": None, "reason": "r", "advice": "a"},
        "short": {"plan": None, "reason": "r", "advice": "a"},
        "setting": "DDIM, 50 steps",
        "device": "a CPU",
        "date": "2026-05-01",
    }
    evidence = {"survey": {"drift": {"mid": [None, 0.5]}}}
    (tmp_path / "judged.json").write_text(json.dumps(about), encoding="utf-8")
    (tmp_path / "evidence.json").write_text(json.dumps(evidence), encoding="utf-8")
    found = read(tmp_path)
    assert found.contenders[0].plan == PLAN and found.contenders[0].seconds is None
    assert found.verdicts == {"hand-made, operations saved": "No difference is shown."}


def test_it_opens_where_nothing_ships(monkeypatch):
    monkeypatch.setattr(automatic_view, "shipped_judging", lambda: None)
    panel = diffusion.automatic_plan()
    assert panel.status["kind"] == "empty"
    assert "It can be stopped" in panel.picture.contents["front"].text
    with pytest.raises(ValueError, match="No plan was chosen"):
        panel.view.export("plan-json", panel.values, panel.picture)
    panel.close()


@pytest.fixture
def two_kinds(monkeypatch):
    """Only decoding and the outermost branch are surveyed, and programs compile quickly."""
    whole = surveying.candidates
    monkeypatch.setattr(surveying, "candidates", lambda *given: whole(*given)[:2])
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("two_kinds")
def test_a_search_chooses_then_judges(home):
    view = AutomaticView(tiny.pipeline())
    given = {
        "sampling": {"steps": 6},
        GROUP: {"budget": 0.7, "tolerance": 1.0, "tries": 0},
        "judging": {"lists": 60},
    }
    values = accepted(view, start(view, given))
    assert "Nothing searched" in view.predict(values).contents["front"].title
    notes = []

    def stopping(done, total, note="", preview=None):
        notes.append(note)
        if note.startswith("Trying"):
            raise Cancelled

    with pytest.raises(Cancelled):
        list(view.run(values, stopping))
    assert notes[0] == "Loading the model"

    shares = []
    pictures = list(view.run(values, lambda done, total, *_: shares.append(done / total)))
    assert all(0 <= share <= 1 for share in shares)
    last = pictures[-1].contents
    assert {"verdicts", "drift", "front"} <= set(last)
    found = view.judged[view._key(values)]
    assert found.choice["reason"] and found.drift
    origins = [one.origin for one in found.contenders]
    lists = origins.count(HAND_MADE)
    assert origins == [AUTOMATIC, *[HAND_MADE] * lists, FEWER] and lists > 3
    # All lists were judged, so the fronts are compared.
    assert found.verdicts["hand-made, operations saved"].endswith(
        f"1 automatic plan against {lists} lists."
    )
    assert all(len(one.ssim) == 32 for one in found.contenders)
    assert view.predict(values).basis == "measured"
    record = found.choice.get("plan") or found.choice["nearest"]
    survey = Survey.of_record(diffusion_evidence(view, values).survey)
    others = rivals(Plan.of_record(record), survey, 3, view._pipeline(values).scheduler)
    assert len(others) == 4


def diffusion_evidence(view, values):
    from workbench.diffusion.automatic.method import AutomaticPlan

    return AutomaticPlan(values[GROUP]).evidence(view._pipeline(values))
