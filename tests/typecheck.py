"""The type checker that the import hook puts on our functions: array shapes, and nothing else.

Product code validates what a user types by itself and names the field; a checker that spoke first
would hide that. A function without array annotations is therefore left alone, and in the others
only the array annotations are checked.
"""

import inspect
from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def speaks_of_arrays(annotation: Any) -> bool:
    """Whether a jaxtyping shape stands in `annotation`, however deep."""
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return True
    return any(speaks_of_arrays(part) for part in get_args(annotation))


def shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its array annotations checked at each call."""
    annotations = getattr(function, "__annotations__", {})
    arrays = {name: hint for name, hint in annotations.items() if speaks_of_arrays(hint)}
    if not arrays:
        return function
    function.__annotations__ = {name: arrays.get(name, Any) for name in annotations}
    return beartype(function)
