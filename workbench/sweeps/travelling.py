"""How a user's function gets into another process: by value, never through a file."""

from __future__ import annotations

import functools
import inspect
import io
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

LARGEST = 100_000_000
"""Bytes of a function with the values it names; it is sent once a job."""

_OURS = ("workbench", "kernels_pallas")
_CACHED = functools._lru_cache_wrapper


def packed(train: Callable[..., Any]) -> bytes:
    """A function, with what it names, as bytes.

    A function of a notebook cell or of a module of the user's travels whole, as it is now; what is
    installed travels by its name.

    Raises:
        TypeError: it names something that cannot leave this process.
        ValueError: it names too much.
    """
    with _by_value(_module(train)):
        try:
            content = _pickled(train)
        except Exception as error:  # objects refuse in classes of their own
            raise TypeError(
                f"train: cannot be sent to another process ({type(error).__name__}: {error}). It "
                "names something that lives only here; make that inside the function"
            ) from error
    if len(content) > LARGEST:
        raise ValueError(
            f"train: is {len(content) / 1e6:.0f} MB with the values it names, and at most "
            f"{LARGEST / 1e6:.0f} MB are sent; load them inside the function"
        )
    return content


def _pickled(train: Callable[..., Any]) -> bytes:
    """By cloudpickle, which knows a cached function by its name alone."""
    import cloudpickle

    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, _CACHED) and obj.__module__ in by_value:
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            return super().reducer_override(obj)

    content = io.BytesIO()
    Pickler(content).dump(train)
    return content.getvalue()


def _cached(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Callable[..., Any]:
    """A cached function as it was made; its cache is empty."""
    return functools.lru_cache(**parameters)(function)


def unpacked(content: bytes) -> Callable[..., Any]:
    """The function of `packed`; the bytes came from the process that started this one."""
    import cloudpickle

    train: Callable[..., Any] = cloudpickle.loads(content)
    return train


def takes_job(train: Callable[..., Any]) -> bool:
    """Whether a function is called with (settings, job), or with (settings) alone.

    Raises:
        TypeError: it takes neither.
    """
    if not callable(train):
        raise TypeError(f"train is a {type(train).__name__}; give a function of the settings")
    signature = inspect.signature(train)
    for given in ((None, None), (None,)):
        try:
            bound = signature.bind(*given)
        except TypeError:
            continue
        if len(given) == 1:
            return False
        second = list(bound.arguments)[-1]
        parameter = signature.parameters[second]
        # A second argument that may be left out is a setting's default, unless it says otherwise.
        if parameter.default is inspect.Parameter.empty or second == "job":
            return True
    name = getattr(train, "__name__", type(train).__name__)
    raise TypeError(f"train: {name}{signature} is called as {name}(settings) or (settings, job)")


def _module(train: Callable[..., Any]) -> ModuleType | None:
    function = inspect.unwrap(getattr(train, "func", train))
    return sys.modules.get(getattr(function, "__module__", None) or "")


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    import cloudpickle

    if module is None or not _of_the_user(module):
        yield
        return
    known = module.__name__ in cloudpickle.list_registry_pickle_by_value()
    if not known:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if not known:
            cloudpickle.unregister_pickle_by_value(module)


def _of_the_user(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or module.__name__.partition(".")[0] in _OURS or not file:
        return False  # the first travels by value as it is
    places = sysconfig.get_paths()
    installed = {Path(places[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not installed & set(Path(file).absolute().parents)
