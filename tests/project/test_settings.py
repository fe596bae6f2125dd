"""What tests/conftest.py promises holds: strict JAX, and shapes that are really checked."""

import importlib
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

SOURCE = """
from __future__ import annotations
from typing import TYPE_CHECKING
from jaxtyping import Array, Float

if TYPE_CHECKING:
    from nowhere import Missing


def scale(x: Float[Array, "B C"], by: float, note: Missing | None = None) -> Float[Array, "B C"]:
    return x * by


def transpose(x: Float[Array, "B C"]) -> Float[Array, "B C"]:
    return x.T


def name(text: str) -> str:
    return text
"""


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from jaxtyping import install_import_hook

    (tmp_path / "shaped_example.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("shaped_example", "tests.typecheck.shapes"):
        yield importlib.import_module("shaped_example")
    del sys.modules["shaped_example"]


def test_jax_is_strict():
    assert jax.config.jax_numpy_dtype_promotion == "strict"
    assert jax.config.jax_numpy_rank_promotion == "raise"
    assert not jax.config.jax_enable_compilation_cache
    assert "workbench-tests-" in os.environ["WORKBENCH_HOME"]


def test_shapes_are_checked_and_other_types_are_not(checked):
    assert checked.scale(jnp.ones((2, 3)), 2, note="anything").shape == (2, 3)
    assert checked.name(7) == 7
    with pytest.raises(TypeError, match="Type-check error"):
        checked.scale(jnp.ones((2, 3, 4)), 2.0)
    with pytest.raises(TypeError, match="Type-check error"):
        checked.transpose(jnp.ones((2, 3)))


def test_checker_can_be_silenced(checked, unchecked_shapes):
    assert checked.transpose(jnp.ones((2, 3))).shape == (3, 2)


def test_our_packages_are_hooked():
    import workbench.shipped

    assert workbench.shipped.__spec__ is not None
    assert "jaxtyping" in type(workbench.shipped.__spec__.loader).__module__
