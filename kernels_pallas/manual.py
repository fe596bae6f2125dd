"""Ops inside `jax.shard_map`, where a type says over which axes of the mesh an array varies.

A loop or a kernel needs arrays of one such type: a weight that all devices share has to be cast to
one that varies, as the pixels beside it do, and zeros that a loop begins with have to be, too. The
gradient of a cast is a sum over the devices. So all that an op returns varies as its inputs do
together. Outside `shard_map`, and where its `check_vma` is False, nothing varies, or changes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import ManualAxisType


def axes(tree: Any) -> frozenset[Any]:
    """Names of the mesh axes that any array of a tree varies over."""
    types = (jax.typeof(leaf).manual_axis_type for leaf in jax.tree.leaves(tree))
    return frozenset[Any]().union(*(one.varying for one in types))


def varying(tree: Any, like: Any) -> Any:
    """A tree of arrays, each of which varies over the axes that an array of `like` varies over."""
    wanted = axes(like)

    def cast(array: Any) -> Any:
        missing = tuple(sorted(wanted - axes(array), key=str))
        return jax.lax.pcast(array, missing, to="varying") if missing else array

    return jax.tree.map(cast, tree) if wanted else tree


def alike(tree: Any) -> Any:
    """A tree of arrays, each of which varies over the axes that any of them varies over."""
    return varying(tree, tree)


def checked() -> bool:
    """Whether code is traced where types say what varies."""
    names = jax.sharding.get_abstract_mesh().manual_axes
    return bool(names) and bool(axes(jax.lax.pcast(jnp.zeros(()), names, to="varying")))


def outputs(shapes: Any, inputs: Any) -> Any:
    """The `jax.ShapeDtypeStruct` of a kernel's outputs, which vary as its inputs do."""
    kind = ManualAxisType(varying=axes(inputs))
    return jax.tree.map(lambda shape: shape.update(manual_axis_type=kind), shapes)
