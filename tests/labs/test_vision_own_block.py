"""A block of one's own on its page: counted in the worker, timed beside its rivals."""

import time

import pytest

from tests.labs.vision_pages import HERE, values
from tests.panels.panel_bench import Bench
from workbench import vision as models
from workbench.labs import vision
from workbench.labs.vision import own_block_view
from workbench.labs.vision.form import SHOWN
from workbench.labs.vision.own_block_code import code_of
from workbench.labs.vision.own_block_view import OwnBlockView
from workbench.progress import silent
from workbench.vision.blocks.conv_first import ConvFirstRow

pytestmark = pytest.mark.usefixtures("quickly_compiled", "rates")


@models.block
class Slim:
    skips = True

    def __init__(self, channels, make, expansion=2):
        self.conv = make.conv(channels, channels, 3, groups=channels // 8)
        self.out = make.conv(channels, channels, bias=True)

    def __call__(self, x):
        return x + self.out(self.conv(x))


class Sevens(Slim.maker):
    def __init__(self, channels, make):
        self.conv = make.conv(channels, channels, 3, groups=7)
        self.out = make.conv(channels, channels)


def test_a_block_is_counted_at_once_and_timed_beside_its_rivals():
    view = OwnBlockView(Slim)
    view.peaks = HERE
    shown = values(view, shown={"channels": 16, "pixels": 4, "batch": 1})
    assert view.unready(shown)
    view.prepare(shown, silent)
    assert view.check(shown) == [] and not view.unready(shown)
    before = view.predict(shown)
    assert before.basis == "predicted"
    assert [row[0].text for row in before.contents["costs"].rows] == [
        "Slim", "ConvFirst", "MBConv", "ConvNeXt",
    ]  # fmt: skip
    live = before.contents["gap"].chart.rows["live"]
    assert {row["predicted"] for row in live} == {True} and len(live) == 4
    assert {row["label"] for row in before.contents["water"].chart.rows["live"]} == {"conv", "out"}
    (after,) = view.run(shown, silent)
    live = after.contents["gap"].chart.rows["live"]
    assert sum(not row["predicted"] for row in live) == 4 and after.basis == "measured"
    assert view.predict(shown).basis == "measured"
    elsewhere = view.predict(values(view, shown={"channels": 16, "pixels": 4, "batch": 1,
                                                 "device": "h200"}))  # fmt: skip
    assert all(row["predicted"] for row in elsewhere.contents["gap"].chart.rows["live"])


def test_a_block_that_cannot_stand_there_is_one_line():
    view = OwnBlockView(Sevens)
    shown = values(view, shown={"channels": 12, "pixels": 4})
    (before,) = view.check(shown)
    assert before.message == "12 channels make no groups of 8: ConvFirst and MBConv are left out"
    view.prepare(shown, silent)
    (problem,) = view.check(shown)
    assert problem.level == "error" and problem.field == "channels"
    assert problem.message == (
        "Sevens: cannot be made with 12 channels: groups=7 does not divide 12 input channels"
    )
    panel = vision.own_block(Sevens, settings={SHOWN: {"channels": 12, "pixels": 4}})
    assert panel.problems and panel.status["kind"] != "done"
    panel.close()
    with pytest.raises(ValueError, match="no class, no function"):
        vision.own_block(7)


def test_a_block_is_code_again():
    assert code_of(Slim) == ("Slim", [f"from {__name__} import Slim"])
    assert code_of(Slim(expansion=3))[0] == "Slim(expansion=3)"
    expression, words = code_of(models.block(ConvFirstRow(channels=8), name="Row's"))
    assert expression == "mine" and words == [
        '# mine: your block "Row\'s", made by workbench.vision.block'
    ]


class Slow(Slim.maker):
    """Takes half a second to be made."""

    def __init__(self, channels, make):
        time.sleep(0.5)
        super().__init__(channels, make)


@pytest.fixture
def one_rival(monkeypatch):
    """Enough where only the order of things is looked at."""
    monkeypatch.setattr(own_block_view, "RIVALS", ("ConvNeXt",))


def test_a_slow_block_is_counted_in_the_worker(one_rival):
    """A callback posts the request and returns; the picture and its problems follow."""
    view = OwnBlockView(models.block(Slow))
    view.peaks = HERE
    bench = Bench(view, settings={SHOWN: {"channels": 16, "pixels": 4}})
    begin = time.monotonic()
    assert view.check(values(view, shown={"channels": 24, "pixels": 4})) == []
    bench.move(SHOWN, "channels", 24)
    assert time.monotonic() - begin < 0.25
    assert bench.kind() == "running" and "Counting" in bench.panel.status["text"]
    bench.until(lambda: bench.kind() == "predicted")
    assert {row["method"] for row in bench.slots()["gap"]["rows"]["live"]} >= {"Slow", "ConvNeXt"}
    assert bench.slots()["gap"]["stale"] is False
    bench.panel.close()


def test_what_counting_finds_wrong_is_said_beside_its_field(one_rival):
    view = OwnBlockView(Sevens)
    view.peaks = HERE
    bench = Bench(view, settings={SHOWN: {"channels": 56, "pixels": 4}})
    assert not bench.panel.problems
    bench.move(SHOWN, "channels", 16)
    bench.until(lambda: bench.kind() == "invalid")
    (problem,) = bench.panel.problems
    assert problem["field"] == "channels" and "groups=7 does not divide 16" in problem["message"]
    bench.move(SHOWN, "channels", 56)
    assert not bench.panel.problems and bench.kind() == "predicted"
    bench.panel.close()
