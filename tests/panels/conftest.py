"""A bench for each panel under test, closed at the end."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.panels.panel_bench import Bench
from tests.panels.panel_demo import DemoView


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(view: Any = None, **more: Any) -> Bench:
        made.append(Bench(view or DemoView(), **more))
        return made[-1]

    yield build
    for bench in made:
        bench.panel.close()
