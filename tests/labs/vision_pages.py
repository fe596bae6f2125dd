"""What tests of the vision pages share: values of a view, and rates that need no measuring."""

import jax
import pytest

from workbench.measure import roofline
from workbench.measure.roofline import Peaks
from workbench.panels.settings import accepted, start
from workbench.vision import latency

HERE = Peaks("test", {"float32": 100e9}, 10e9, "measured 2026-01-02: made for a test")


def values(view, **groups):
    """The view's own values, with some set."""
    return accepted(view, start(view, groups))


@pytest.fixture(scope="module")
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def rates(monkeypatch):
    """This machine's rates as in `HERE`, and timings of two short calls."""
    monkeypatch.setattr(roofline, "measured", lambda *given, **more: HERE)
    monkeypatch.setattr(latency, "LEAST", 0.0)
    monkeypatch.setattr(latency, "REPEATS", 2)
