"""An op whose forms bring their own gradient: `forward` and `backward` of a module each."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from kernels_pallas import dispatch, manual


class Call(NamedTuple):
    """What of a call is fixed while tracing.

    Args:
        package: of the op; a form is a module in it.
        form: the one that runs.
        fixed: whether it runs wherever the program is lowered.
        options: keywords of the form's functions, hashable.
    """

    package: str
    form: str
    fixed: bool
    options: tuple[tuple[str, Any], ...]

    def __call__(self, *arrays: Any) -> Any:
        """The op; each array but the last, which counts segments, has a gradient."""
        if self.form == "reference":  # jax differentiates the definition itself
            return self.run("forward", *arrays)
        return _apply(self, *manual.alike(arrays))

    def run(self, direction: str, *arrays: Any) -> Any:
        """Calls `forward` or `backward` of the form."""
        names = {self.form, "xla"}
        forms = {name: self._function(name, direction) for name in names}
        return dispatch.run(self.form, forms, *arrays, fixed=self.fixed)

    def _function(self, name: str, direction: str) -> Callable[..., Any]:
        def function(*arrays: Any) -> Any:
            found = getattr(module(self.package, name), direction)
            return found(*arrays, **dict(self.options))

        return function


def module(package: str, form: str) -> Any:
    """The module of a form, imported when it is first used."""
    return importlib.import_module(f"{package}.{form}")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _apply(call: Call, *arrays: Any) -> Any:
    return call.run("forward", *arrays)


def _forward(call: Call, *arrays: Any) -> Any:
    return call.run("forward", *arrays), arrays


def _backward(call: Call, arrays: Any, gradients: Any) -> Any:
    found = call.run("backward", *arrays, *gradients)
    return (*found, None)


_apply.defvjp(_forward, _backward)
