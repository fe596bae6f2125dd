"""The collector waits for the answer, and is left as it was found."""

import gc

import pytest

from workbench.panels.collection import collected_later


def test_nothing_is_collected_inside_and_all_goes_on_after():
    assert gc.isenabled()
    with collected_later():
        assert not gc.isenabled()
        with collected_later():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_fault_inside_leaves_the_collector_on():
    with pytest.raises(ZeroDivisionError), collected_later():
        _ = 1 / 0
    assert gc.isenabled()
