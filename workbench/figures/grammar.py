"""Altair without what makes it slow here: a grammar of addresses at import, checks of every part.

Altair imports jsonschema, and jsonschema imports `rfc3987_syntax` where it is installed (JupyterLab
brings it). That module builds 38 parsers at import, which nothing here ever calls. It is put off
to the first call; whoever imports it by name gets the real one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import ParamSpec, TypeVar

__all__ = ["alt", "unchecked"]

P = ParamSpec("P")
R = TypeVar("R")

_SLOW = "rfc3987_syntax"


@contextmanager
def _put_off() -> Iterator[None]:
    if _SLOW in sys.modules or "jsonschema" in sys.modules:
        yield
        return
    stand_in = ModuleType(_SLOW)
    vars(stand_in)["is_valid_syntax"] = _is_valid_syntax
    sys.modules[_SLOW] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_SLOW) is stand_in:
            del sys.modules[_SLOW]


def _is_valid_syntax(term: str, value: str) -> bool:
    from rfc3987_syntax import is_valid_syntax

    return bool(is_valid_syntax(term, value))


with _put_off():
    import altair as alt


def unchecked(build: Callable[P, R]) -> Callable[P, R]:
    """A function that builds a specification, without checking each part against the schema.

    The checks take most of the time of a move that needs a new specification; the tests check
    whole specifications instead.
    """

    @functools.wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> R:
        with alt.utils.schemapi.debug_mode(False):
            return build(*args, **kwargs)

    return built
