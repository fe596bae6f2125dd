"""Finds the cases that the ops give: `kernels_pallas/<op>/cases.py`, where there is one."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from typing import NamedTuple

import kernels_pallas
from kernels_pallas.dispatch import Op
from kernels_pallas.report.case import Case


class Place(NamedTuple):
    """Where a process of its own finds a case again.

    Args:
        module: that has a function `cases`.
        number: of the case among those the function gives.
    """

    module: str
    number: int


def modules(op: str = "") -> list[str]:
    """Names of the modules that give cases; of one op where it is named."""
    found = [
        f"kernels_pallas.{entry.name}.cases"
        for entry in pkgutil.iter_modules(kernels_pallas.__path__)
        if entry.ispkg and entry.name != "report" and op in ("", entry.name)
    ]
    return [module for module in found if importlib.util.find_spec(module)]


@functools.cache
def ops() -> dict[str, Op]:
    """Every op of the library by its name, as it chooses its forms."""
    folders = {module.removesuffix(".cases") for module in modules()}
    held = [vars(importlib.import_module(folder)).values() for folder in folders]
    return {one.name: one for values in held for one in values if isinstance(one, Op)}


def cases(op: str = "") -> list[tuple[Place, Case]]:
    """Every case, with where it is found.

    Args:
        op: those of one folder alone.

    Raises:
        ValueError: if there are none.
    """
    found = [
        (Place(module, number), case)
        for module in modules(op)
        for number, case in enumerate(importlib.import_module(module).cases())
    ]
    if not found:
        having = [module.split(".")[1] for module in modules()]
        raise ValueError(f"no cases{f' of op {op!r}' if op else ''}; ops with cases: {having}")
    return found


def at(place: Place) -> Case:
    """The case at a place."""
    return list(importlib.import_module(place.module).cases())[place.number]
