"""The study of group sizes: what it asks, what its words say, and the one that ships."""

import csv
import json

import pytest

from workbench import shipped
from workbench.vision.group_size_arms import NETWORKS, Arm, arms, pairs
from workbench.vision.group_size_study import Plan, main
from workbench.vision.group_size_verdict import (
    accuracy,
    against_depthwise,
    at_equal_arithmetic,
    conclusion,
    verdicts,
)

RESNEXT = "our_small_resnext"


def rows(first, second, pair):
    return [
        {"arm": arm.name, "seed": seed, "accuracy": value}
        for arm, values in zip(pair, (first, second), strict=True)
        for seed, value in enumerate(values)
    ]


def test_a_ranking_only_where_the_interval_leaves_zero_out():
    pair = pairs(RESNEXT)[0]
    (clear,) = at_equal_arithmetic(rows((0.9, 0.91, 0.92), (0.8, 0.81, 0.83), pair), RESNEXT)
    assert clear.better == pair[0].name and "is better" in clear.sentence
    assert "+9.7 points (+8.2 to +11.1), 3 seeds" in clear.sentence
    (other,) = at_equal_arithmetic(rows((0.8, 0.81, 0.83), (0.9, 0.91, 0.92), pair), RESNEXT)
    assert other.better == pair[1].name
    (close,) = at_equal_arithmetic(rows((0.9, 0.8, 0.92), (0.85, 0.86, 0.83), pair), RESNEXT)
    assert close.better == "" and close.sentence.endswith("not told apart")
    (few,) = at_equal_arithmetic(rows((0.9, 0.9), (0.1, 0.1), pair), RESNEXT)
    assert few.better == "" and "2 seeds" in few.sentence
    told = conclusion(rows((0.9, 0.91, 0.92), (0.8, 0.81, 0.83), pair))
    assert told.startswith("At equal arithmetic, of 1 pairs the constant size is better in 1")
    assert conclusion([]) == "Nothing is trained yet."


def test_each_size_is_held_against_depthwise():
    pair = (Arm(RESNEXT, "size", 8), Arm(RESNEXT, "size", 1))
    (found,) = against_depthwise(rows((0.9, 0.91, 0.92), (0.8, 0.81, 0.83), pair), RESNEXT)
    assert found.better == "Small ResNeXt, G = 8"
    assert accuracy(rows((0.9, 0.91, 0.92), (), pair), pair[0]).value == pytest.approx(0.91)


def test_a_wrong_number_of_seeds(capsys):
    assert main(["--seeds", "0"]) == 2
    assert "seeds=0 must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.long
def test_a_tiny_study_is_written_and_gone_on_with(tmp_path, workbench_home, capsys):
    words = ["--tiny", "--out", str(tmp_path)]
    assert main([*words, "--minutes", "0"]) == 3
    assert main(words) == 0
    assert "not told apart" in capsys.readouterr().out
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["seeds"] == 1 and len(card["verdicts"]) == 1
    with (tmp_path / "quality.csv").open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == 2 and found[0]["macs"] == found[1]["macs"]


@pytest.mark.slow
def test_the_study_that_ships_says_what_its_table_says():
    folder = shipped.path("data/group-size-study")
    card = json.loads((folder / "card.json").read_text())
    with (folder / "quality.csv").open() as file:
        found = list(csv.DictReader(file))
    plan = Plan()
    assert {row["arm"] for row in found} == {arm.name for arm in arms()}
    assert card["seeds"] >= 3 and len(found) == card["seeds"] * len(plan.arms)
    assert card["fingerprint"] == plan.data().fingerprint
    assert card["conclusion"] == conclusion(found)
    said = [v.sentence for v in verdicts(found)]
    assert [v["sentence"] for v in card["verdicts"]] == said
    for network in NETWORKS:
        for first, second in pairs(network):
            macs = {row["macs"] for row in found if row["arm"] in (first.name, second.name)}
            assert len(macs) == 1
