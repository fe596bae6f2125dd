"""Programs of these tests are many and small; what they compute does not depend on this."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
