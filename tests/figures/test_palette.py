"""The colours can be told apart by every reader, and a name keeps its colour."""

import itertools
import math

import numpy as np
import pytest

from workbench.figures import palette, theme

# Machado, Oliveira and Fernandes 2009, severity 1, applied to linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ.sum(axis=1)


def linear(color):
    value = np.array(palette.channels(color)) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(first, second):
    light, dark = sorted((float(TO_XYZ[1] @ linear(c)) for c in (first, second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(color, vision):
    seen = np.clip(VISION[vision] @ linear(color), 0, 1)
    ratio = TO_XYZ @ seen / WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def ciede2000(one, two):
    (l1, a1, b1), (l2, a2, b2) = one, two
    c_mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(c_mean**7 / (c_mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    dl, dc = l2 - l1, c2 - c1
    dh = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    dh_big = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(dh / 2))
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_mean = (h1 + dh / 2) % 360 if c1 * c2 else h1 + h2
    t = (
        1
        - 0.17 * math.cos(math.radians(h_mean - 30))
        + 0.24 * math.cos(math.radians(2 * h_mean))
        + 0.32 * math.cos(math.radians(3 * h_mean + 6))
        - 0.20 * math.cos(math.radians(4 * h_mean - 63))
    )
    sl = 1 + 0.015 * (l_mean - 50) ** 2 / math.sqrt(20 + (l_mean - 50) ** 2)
    sc, sh = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    turn = 60 * math.exp(-(((h_mean - 275) / 25) ** 2))
    rt = -2 * math.sqrt(c_mean**7 / (c_mean**7 + 25**7)) * math.sin(math.radians(turn))
    terms = dl / sl, dc / sc, dh_big / sh
    return math.sqrt(sum(x * x for x in terms) + rt * terms[1] * terms[2])


def test_ciede2000_agrees_with_published_pairs():
    # Sharma, Wu and Dalal 2005, pairs 1 and 17 of their test data.
    assert ciede2000((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert ciede2000((50, 2.5, 0), (73, 25, -18)) == pytest.approx(27.1492, abs=1e-4)


@pytest.mark.parametrize("shown", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_every_pair_of_methods_is_told_apart(shown, vision):
    seen = [lab(palette.hue(slot, shown), vision) for slot in range(10)]
    least = min(ciede2000(seen[i], seen[j]) for i in range(10) for j in range(i))
    assert least > 11


@pytest.mark.parametrize("shown", ["light", "dark"])
def test_marks_reach_three_to_one_and_text_four_and_a_half(shown):
    table = theme.colors(shown)
    for slot in range(10):
        for ground in ("--wb-paper", "--wb-fill"):
            assert contrast(table[f"--wb-m{slot}"], table[ground]) >= 3
        assert contrast(table[f"--wb-m{slot}t"], table["--wb-paper"]) >= 4.5
    for word in ("t1", "t2", "t3"):
        assert contrast(table[f"--wb-{word}"], table["--wb-hover"]) >= 4.5
    for step in range(5):
        assert contrast(table[f"--wb-budget{step}"], table["--wb-paper"]) >= 3


def test_ramps_move_one_way():
    for ramp, way in ((palette.AREA["light"], -1), (palette.AREA["dark"], 1)):
        lightness = [lab(color, "normal")[0] for color in ramp]
        assert all(way * (b - a) > 4 for a, b in itertools.pairwise(lightness))


def test_marks_and_dashes_are_all_different():
    assert len({slot.mark for slot in palette.SLOTS}) == 10
    assert len({slot.dash for slot in palette.SLOTS}) == 10


def test_declared_names_keep_their_slots_and_baseline_is_ink():
    found = palette.Palette({"Encoder propagation": 1, "Mine": None}, baseline="Full sampling")
    assert found.slot("Full sampling") == palette.BASELINE
    assert found.slot("Encoder propagation") == 1
    assert found.slot("Mine") not in (0, 1)


def test_slot_does_not_depend_on_order():
    names = [f"method {number}" for number in range(9)]
    forward, backward = palette.Palette(), palette.Palette()
    forward.learn(names)
    backward.learn(reversed(names))
    assert forward.as_dict() == backward.as_dict()
    assert sorted(forward.as_dict().values()) == list(range(1, 10))


def test_eleventh_method_is_folded_into_others():
    found = palette.Palette(dict.fromkeys([f"m{number}" for number in range(9)]), baseline="b")
    assert found.slot("one more") == palette.OTHERS


def test_two_methods_asking_for_one_slot_get_two():
    found = palette.Palette({"a": 3, "b": 3})
    assert found.slot("a") == 3 and found.slot("b") != 3


def test_slot_out_of_range_is_named():
    with pytest.raises(ValueError, match="'a' must be from 0 to 9: 10"):
        palette.Palette({"a": 10})


def test_shared_palette_is_stable():
    first = palette.slot("some method nobody declared")
    assert palette.slot("some method nobody declared") == first


def test_declared_later_takes_its_slot_only_if_free():
    found = palette.Palette({"b": 3})
    assert found.declare("c", 4) == 4
    assert found.declare("a", 3) not in (0, 3, 4)
    assert found.declare("b", 7) == 3
