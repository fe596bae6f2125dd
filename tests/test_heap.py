"""After a long compile the C library is asked to give its free memory back."""

import ctypes
import sys

import jax
import pytest

from workbench import heap

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems' heaps are left alone")


class Library:
    """Counts what it is asked."""

    def __init__(self):
        self.trims = []
        self.malloc_trim = self.trims.append


@pytest.fixture
def listening(monkeypatch):
    """Listens for one test, which JAX offers no public way to end."""
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    before = list(jax._src.monitoring.get_event_duration_listeners())
    heap.trim_after_compiling.__wrapped__()
    yield library
    for one in jax._src.monitoring.get_event_duration_listeners():
        if one not in before:
            jax._src.monitoring.unregister_event_duration_listener(one)


@linux
def test_long_compiles_alone_are_followed_by_a_trim(listening):
    """Short ones would pay more than they give."""
    jax.monitoring.record_event_duration_secs(heap.COMPILED, 0.9 * heap.LEAST_SECONDS)
    jax.monitoring.record_event_duration_secs("/another", 9.0)
    assert listening.trims == []
    jax.monitoring.record_event_duration_secs(heap.COMPILED, heap.LEAST_SECONDS)
    assert listening.trims == [0]


@linux
def test_jax_still_says_when_it_has_compiled(listening, monkeypatch):
    """The name of its event is no promise of JAX's."""
    monkeypatch.setattr(heap, "LEAST_SECONDS", 0.0)
    jax.jit(lambda x: x + 17)(1.0).block_until_ready()
    assert listening.trims


@pytest.mark.parametrize("library", [object(), None])
def test_other_libraries_are_left_alone(monkeypatch, library):
    """musl has no such call, and Windows no such way to a library."""
    monkeypatch.setattr(sys, "platform", "linux" if library else "win32")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    before = len(jax._src.monitoring.get_event_duration_listeners())
    heap.trim_after_compiling.__wrapped__()
    assert len(jax._src.monitoring.get_event_duration_listeners()) == before
