"""A view that works something out before it answers: in the worker, once, until it is stopped."""

import threading
from collections.abc import Callable
from typing import Any

from tests.panels.panel_bench import Bench
from tests.panels.panel_demo import DemoView
from workbench.panels.view import Problem, Values
from workbench.progress import Report

Make = Callable[..., Bench]


class ThinkingView(DemoView):
    """Thinks about each group once; 9 cannot be thought about."""

    automatic = False

    def __init__(self) -> None:
        super().__init__()
        self.thought: dict[int, int] = {}

    def unready(self, values: Values) -> str:
        group: Any = values["encoder"]
        return "" if group.group in self.thought else "Thinking"

    def prepare(self, values: Values, report: Report) -> None:
        group: Any = values["encoder"]
        report(0, 1, "Thinking")
        self.thought[group.group] = threading.get_ident()

    def check(self, values: Values) -> list[Problem]:
        group: Any = values["encoder"]
        if group.group == 9 and 9 in self.thought:
            return [Problem("error", "group", "9 cannot be thought about", "encoder")]
        return super().check(values)


def test_it_is_worked_out_in_the_worker_and_then_predicted(make: Make) -> None:
    view = ThinkingView()
    bench = make(view)
    bench.say("hello")
    bench.move("encoder", "group", 8)
    assert bench.kind() == "running" and bench.panel.status["text"] == "Thinking"
    assert bench.slots()["pareto"]["stale"]
    bench.until(lambda: bench.kind() == "predicted")
    assert view.thought[8] != threading.get_ident() and view.runs == []
    assert not bench.slots()["pareto"]["stale"]
    bench.move("encoder", "group", 7)
    bench.until(lambda: bench.kind() == "predicted")
    bench.move("encoder", "group", 8)
    assert bench.kind() == "predicted", "what is known is answered at once"


def test_what_it_finds_wrong_is_a_problem_of_its_field(make: Make) -> None:
    bench = make(ThinkingView())
    bench.move("encoder", "group", 9)
    bench.until(lambda: bench.kind() == "invalid")
    assert [problem["field"] for problem in bench.panel.problems] == ["group"]


def test_it_is_stopped_before_it_begins(make: Make) -> None:
    view = ThinkingView()
    bench = make(view, quiet=60)
    bench.move("encoder", "group", 8)
    bench.say("stop")
    assert bench.kind() == "stopped" and view.thought == {}


def test_a_run_takes_the_place_of_what_is_worked_out(make: Make) -> None:
    view = ThinkingView()
    bench = make(view, quiet=60)
    bench.move("encoder", "group", 8)
    bench.say("run")
    bench.until(lambda: bench.kind() == "done")
    assert view.thought == {} and len(view.runs) == 1
