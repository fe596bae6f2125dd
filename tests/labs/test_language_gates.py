"""The gate explorer: how long a gate remembers, whose gates are read, and which are left out."""

import math

import numpy as np
import pytest
from flax import nnx

from workbench.labs.language import shelf
from workbench.labs.language.gate_memory import Gates, Head, LayerGates, gates_of, memory
from workbench.labs.language.gates_view import GatesView
from workbench.language import Bytes, Decoder, DecoderConfig


def test_memory_of_a_constant_gate_is_its_time_constant():
    decay = np.array([0.5, 0.9, 0.99, 0.9999])
    found = memory(np.tile(np.log(decay), (200, 1)))
    np.testing.assert_allclose(found[0], -1 / np.log(decay), rtol=1e-6)
    np.testing.assert_allclose(found[-1], -1 / np.log(decay), rtol=1e-6)  # beyond the text, too


def test_memory_ends_at_the_token_that_forgets():
    gates = np.zeros((40, 1))
    gates[20] = -50.0
    found = memory(gates)
    assert found[0, 0] == pytest.approx(19 + 1 / 50)
    assert found[18, 0] == pytest.approx(1 + 1 / 50)


def test_gates_are_read_back_from_their_record():
    head = Head(3.0, 1.0, 9.0, [1.0, 9.0], [0.9, 0.8])
    gates = Gates(["a", "b"], [LayerGates(0, [head], (0.1, 0.2, 0.3))])
    assert Gates.of_record(gates.record()).record() == gates.record()


def gla_shape(*gates):
    mixers = tuple({"kind": "gla", "num_heads": 2, "gate": gate} for gate in gates)
    shape = {"vocab_size": 256, "hidden_size": 16, "intermediate_size": 16}
    return DecoderConfig(**shape, num_hidden_layers=len(gates), mixers=mixers)


def test_layers_without_a_gate_are_left_out_and_constant_gates_are_of_every_token():
    model = Decoder(gla_shape("none", "fixed"), rngs=nnx.Rngs(params=0))
    found = gates_of(model, Bytes().encode("five words of a text"), Bytes())
    (layer,) = found.layers
    assert layer.layer == 1 and len(layer.heads) == 2
    assert layer.heads[0].kept == pytest.approx([1 - 2**-5] * 20, rel=1e-3)
    assert layer.heads[1].median == pytest.approx(-1 / math.log(1 - 2**-6), rel=1e-3)


def test_a_model_that_never_forgets_is_none_of_the_gate_explorer(monkeypatch):
    books = [shelf.Book(gate, gate, gla_shape(gate)) for gate in ("none", "fixed", "channel")]
    monkeypatch.setattr(shelf, "shipped_books", lambda: books)
    assert list(GatesView().shelf.books) == ["fixed", "channel"]
