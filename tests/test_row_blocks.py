"""Functions of rows, a block at a time, against all rows at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench import row_blocks
from workbench.row_blocks import by_rows


def squares(x):
    return jnp.concatenate([x * x, jnp.flip(x, -1)], axis=-1)


@pytest.mark.parametrize(
    ("shape", "block"), [((3, 40, 5), 8), ((2, 6, 7, 3), 7), ((24, 2), 8), ((1, 7, 2), 0)]
)
def test_blocks_give_what_all_rows_give(shape, block, monkeypatch):
    monkeypatch.setattr(row_blocks, "ROWS", 7)
    monkeypatch.setattr(row_blocks, "LARGE", 0)
    x = jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
    seen = []

    def noted(rows):
        seen.append(rows.shape)
        return squares(rows)

    found = by_rows(noted, x, 10)
    np.testing.assert_array_equal(found, squares(x))
    one = (*(1 for _ in shape[2:]), block, shape[-1])
    assert (one in seen) == bool(block)
    assert all(len(rows) == len(shape) for rows in seen)
    gradients = jax.grad(lambda x: by_rows(squares, x, 10).sum())(x)
    np.testing.assert_allclose(gradients, jax.grad(lambda x: squares(x).sum())(x), rtol=1e-6)


def test_few_rows_stay_together():
    seen = []
    by_rows(lambda rows: seen.append(rows.shape) or rows, jnp.zeros((2, 4096, 8)), 8)
    assert seen == [(2, 4096, 8)]
