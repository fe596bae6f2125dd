"""Eigen's products: asked for where XLA knows of the choice, and for float32 alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench import products

LEFT, RIGHT = (
    np.random.default_rng(seed).standard_normal(shape, np.float32)
    for seed, shape in ((0, (3, 20, 30)), (1, (3, 30, 40)))
)


def test_eigen_takes_every_product():
    """No product is left to YNNPACK, and the numbers are right."""
    program = jax.jit(jnp.matmul, compiler_options=products.by_eigen()).lower(LEFT, RIGHT).compile()
    assert "ynn" not in program.as_text()
    exact = LEFT.astype(np.float64) @ RIGHT
    np.testing.assert_allclose(program(LEFT, RIGHT), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("compute", [jnp.bfloat16, np.int8, np.float16])
def test_other_types_stay_where_they_are(compute):
    """Only float32 was measured."""
    assert products.by_eigen(compute) is None
    assert products.by_eigen(np.dtype(np.float32)) == products.EIGEN


def test_an_xla_without_the_choice_is_left_alone(monkeypatch):
    """An option that XLA does not know is no error, and is not asked for."""
    monkeypatch.setattr(products, "EIGEN", {"xla_cpu_no_such_choice": "1"})
    products._known.cache_clear()
    try:
        assert products.by_eigen() is None
    finally:
        products._known.cache_clear()
