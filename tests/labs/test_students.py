"""The students' page: what ships, what is drawn here, and that every answer has its interval."""

import re
from typing import Any

import numpy as np
import pytest

from workbench.diffusion.students.study import as_fields
from workbench.diffusion.students.verdict import verdicts
from workbench.labs.diffusion.distilled import drawn, shown
from workbench.labs.diffusion.distilled.claims import claim
from workbench.labs.diffusion.distilled.drawn import SEEDS
from workbench.labs.diffusion.distilled.form import ONE_PASS, PRESETS, RIVALS, STUDY, names
from workbench.labs.diffusion.distilled.view import StudentsView
from workbench.panels.picture import EmptyContent
from workbench.panels.settings import accepted, defaults, merged, start
from workbench.panels.view import Values
from workbench.progress import silent


@pytest.fixture(scope="module")
def view() -> StudentsView:
    return StudentsView()


def values(view: StudentsView, **settings: dict[str, Any]) -> Values:
    return accepted(view, start(view, settings))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.label)
def test_every_preset_has_its_picture_at_once(view: StudentsView, preset: Any) -> None:
    chosen = accepted(view, merged(defaults(view.groups), preset.values))
    picture = view.predict(chosen)
    assert picture.basis == "recorded"
    rows = picture.contents["pictures"].rows
    assert [row.label for row in rows] == list(names(chosen))
    assert all(len(row.images) == SEEDS for row in rows)
    assert all("a picture" in row.note for row in rows)


def test_settings_without_pictures_still_have_the_study(view: StudentsView) -> None:
    picture = view.predict(values(view, **{RIVALS: {"steps": 7}}))
    assert picture.basis == "predicted"
    assert isinstance(picture.contents["pictures"], EmptyContent)
    assert picture.contents["quality"].chart is not None


@pytest.mark.parametrize("cost", ["macs", "seconds"])
def test_the_study_is_drawn_with_every_metric(view: StudentsView, cost: str) -> None:
    for metric in view.groups[-1].knobs.model_json_schema()["properties"]["metric"]["enum"]:
        picture = view.predict(values(view, **{STUDY: {"metric": metric, "cost": cost}}))
        chart = picture.contents["quality"].chart
        drawn = {row["label"] for row in chart.source}
        assert {"one pass, K = 4", "consistency, 4 steps", "one step, regression"} < drawn
        assert all(
            row[f"{metric}.low"] is not None for row in chart.source if "K = 4" in row["label"]
        )


def test_verdicts_follow_their_intervals() -> None:
    for one in shown.study().card["verdicts"]:
        apart = one["low"] is not None and (one["low"] > 0 or one["high"] < 0)
        assert bool(one["better"]) == apart
    assert len(shown.verdicts(shown.study()).rows) == len(shown.study().card["verdicts"])


def test_costs_at_full_size_are_the_published_counts() -> None:
    rows = shown.full_size().rows
    known = {row[0]: int(re.sub(r"\D", "", row[1].text)) for row in rows}
    assert known["encoder once, 4 decoders"] == pytest.approx(1214, rel=0.01)
    assert known["1 step"] == pytest.approx(402, rel=0.01)
    assert known["4 steps"] == pytest.approx(1606, rel=0.01)


def test_the_card_says_which_way_each_claim_went() -> None:
    card = claim(shown.study())
    assert card.rows[0].basis == "predicted"
    told = [row.verdict for row in card.rows[1:]]
    assert str(told.count("reproduced")) in card.reason
    assert set(told) <= {"reproduced", "failed", "open"}


def test_a_claim_is_decided_by_intervals_alone() -> None:
    """The made-up student is more diverse than consistency for sure; its toy-FID may be either."""
    ours, theirs = "one pass, K = 4", "consistency, 4 steps"
    rows = [
        {"arm": arm, "seed": seed, "diversity_ratio": diversity + 0.01 * seed, "toy_fid": 3 + fid}
        for arm, diversity in ((ours, 0.9), (theirs, 0.5))
        for seed, fid in enumerate((0.0, 0.3, 0.1) if arm == ours else (0.2, 0.0, 0.2))
    ]
    told = [as_fields(one) for one in verdicts(rows, ours, theirs)]
    card = {**shown.study().card, "verdicts": told}
    found = {row.what: row.verdict for row in claim(shown.Study(rows, card)).rows[1:]}
    assert found == {"Diversity, LCM": "reproduced", "toy-FID, LCM": "open"}


@pytest.mark.slow
@pytest.mark.long
def test_what_ships_is_what_is_drawn(view: StudentsView) -> None:
    """The recorded pictures are those of the students and the teacher that ship."""
    first = accepted(view, merged(defaults(view.groups), PRESETS[0].values))
    again, kept = drawn.drawn(first, silent), drawn.recorded(first)
    assert kept is not None
    assert set(again.pictures) == set(kept.pictures)
    for name, pictures in again.pictures.items():
        apart = np.abs(pictures.astype(int) - kept.pictures[name].astype(int))
        assert apart.mean() < 1, name


def test_weights_that_are_not_there_are_one_clear_line(
    view: StudentsView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "FOLDER", "data/no-students")
    with pytest.raises(ValueError, match="no-students: no students’ weights are there; python"):
        next(view.run(values(view, **{ONE_PASS: {"passes": 2}}), silent))
