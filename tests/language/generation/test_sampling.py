"""Draws: their frequencies, their limits, and that a row's are its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from workbench.language.generation.sampling import GREEDY, Draws, Sampling, chosen

PROBABILITIES = np.array([0.4, 0.05, 0.3, 0.15, 0.1])
ROWS = 4000


run = jax.jit(chosen, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def draw():
    def drawn(sampling, logits=None):
        if logits is None:
            logits = np.log(PROBABILITIES)
        rows = np.broadcast_to(logits.astype(np.float32), (ROWS, 5))
        return np.asarray(run(jnp.asarray(rows), Draws.of([(sampling, n, 3) for n in range(ROWS)])))

    return drawn


def shares(tokens):
    return np.bincount(tokens, minlength=5) / ROWS


def limited(kept, temperature=1.0):
    wanted = np.where(np.isin(np.arange(5), kept), PROBABILITIES ** (1 / temperature), 0)
    return wanted / wanted.sum()


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, range(5)),
        ({"temperature": 0.5}, range(5)),
        ({"top_k": 2}, (0, 2)),
        ({"top_k": 50}, range(5)),
        ({"top_p": 0.72}, (0, 2, 3)),
        ({"top_p": 0.69}, (0, 2)),
        ({"top_p": 1e-6}, (0,)),
        ({"top_p": 0.6, "top_k": 3}, (0, 2)),  # 0.4 and 0.3 of 0.85
        ({"top_p": 0.8, "top_k": 2}, (0, 2)),
        ({"temperature": 0.5, "top_p": 0.8}, (0, 2)),  # after the temperature: 0.57 and 0.32
    ],
)
def test_tokens_come_as_often_as_is_likely(draw, fields, kept):
    sampling = Sampling(**{"temperature": 1.0, **fields})
    found, wanted = shares(draw(sampling)), limited(kept, sampling.temperature)
    assert (found[wanted == 0] == 0).all()
    deviation = np.sqrt(wanted * (1 - wanted) / ROWS)
    assert (np.abs(found - wanted) <= 4.5 * deviation + 1e-9).all()


def test_the_likeliest_is_taken_where_nothing_is_drawn(draw):
    assert (draw(GREEDY) == 0).all()
    assert (draw(GREEDY, np.array([1.0, -np.inf, 3e38, 0, 0])) == 2).all()


def test_a_row_is_drawn_by_its_own_numbers():
    logits = jax.random.normal(jax.random.key(0), (4, 50))
    warm, narrow = Sampling(temperature=1.3), Sampling(temperature=1.0, top_k=4)
    rows = [(warm, 7, 0), (narrow, 2, 5), (GREEDY, 0, 0), (warm, 7, 1)]
    together = run(logits, Draws.of(rows))
    alone = [run(logits[n : n + 1], Draws.of([row]))[0] for n, row in enumerate(rows)]
    np.testing.assert_array_equal(together, alone)
    assert together[2] == jnp.argmax(logits[2])


@pytest.mark.parametrize(
    "fields",
    [{"temperature": -1}, {"temperature": float("inf")}, {"top_k": 0}, {"top_p": 0},
     {"top_p": 1.1}, {"topk": 3}],
)  # fmt: skip
def test_settings_there_are_not_are_refused(fields):
    with pytest.raises(ValidationError):
        Sampling(**fields)
