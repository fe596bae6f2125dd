"""What makes a run the run it is, as one hash, the same in every process and on every day."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import math
import textwrap
import types
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

_PLAIN = (type(None), bool, int, float, str, bytes)


@dataclasses.dataclass(frozen=True)
class Identity:
    """Settings, subject, data, recipe version and seed: equal ones are one run.

    Attributes:
        config: settings, of plain values, paths, arrays, dataclasses, pydantic models, functions.
        subject: what is worked on; a fingerprint, or anything `fingerprint` can read.
        data: what it is worked on with, likewise.
        version: declared version of the recipe; for a user's own function, the function itself.
        seed: seed of the run.
    """

    config: Any
    subject: Any = ""
    data: Any = ""
    version: Any = ""
    seed: int = 0

    @functools.cached_property
    def canonical(self) -> dict[str, Any]:
        """The same as JSON values in one fixed form."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: canonical(part, name) for name, part in parts.items()}

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form."""
        return _sha(self.canonical)

    @property
    def id(self) -> str:
        """Name of the run's folder: the first 80 bits of the hash."""
        return self.hash[:20]


def digest(value: Any) -> str:
    """SHA-256 of any value that can be part of an identity."""
    return _sha(canonical(value, type(value).__name__))


def fingerprint(value: Any) -> str:
    """The fingerprint an object declares (`.fingerprint`), otherwise the digest of its content."""
    own = getattr(value, "fingerprint", None)
    if callable(own):
        own = own()
    return own if isinstance(own, str) and own else digest(value)


def canonical(value: Any, place: str) -> Any:
    """JSON values that are equal exactly where the values are equal.

    Order of keys does not count, nor does tuple or list, nor 1 or 1.0; True is not 1. Arrays count
    by dtype, shape and content; functions by source, by what they close over, and by the simple
    globals and functions of their own module that they name.

    Args:
        value: what to bring into the form.
        place: name of the value, for the error.

    Raises:
        TypeError: the value has no content that could be compared, such as an open file.
    """
    return _canonical(value, place, ())


def _canonical(value: Any, place: str, above: tuple[int, ...]) -> Any:
    if isinstance(value, enum.Enum):
        return {"enum": type(value).__qualname__, "name": value.name}
    if isinstance(value, _PLAIN):
        return _plain(value)
    if id(value) in above:
        return {"again": len(above) - above.index(id(value))}
    above = (*above, id(value))
    if isinstance(value, list | tuple):
        return [_canonical(part, f"{place}[{i}]", above) for i, part in enumerate(value)]
    if isinstance(value, dict):
        return _mapping(value, place, above)
    if isinstance(value, set | frozenset):
        parts = [_canonical(part, f"{place}{{}}", above) for part in value]
        return {"set": sorted(parts, key=_text)}
    if isinstance(value, PurePath):
        return {"path": value.as_posix()}
    if isinstance(value, type):
        return {"type": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
        return {"partial": _canonical(parts, place, above)}
    if isinstance(value, types.FunctionType | types.MethodType):
        return {"function": _function(value, place, above)}
    if isinstance(value, types.BuiltinFunctionType | types.ModuleType):
        return {"builtin": f"{getattr(value, '__module__', '')}.{value.__name__}"}
    return _object(value, place, above)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return {"float": "nan"}
    if math.isinf(value):
        return {"float": "inf" if value > 0 else "-inf"}
    return int(value) if value.is_integer() else {"float": value.hex()}


def _mapping(value: dict[Any, Any], place: str, above: tuple[int, ...]) -> Any:
    parts = {k: _canonical(part, f"{place}.{k}", above) for k, part in value.items()}
    if all(isinstance(key, str) for key in parts):
        return {"map": parts}
    pairs = [[_canonical(key, f"{place} key", above), part] for key, part in parts.items()]
    return {"pairs": sorted(pairs, key=_text)}


def _object(value: Any, place: str, above: tuple[int, ...]) -> Any:
    own = getattr(value, "fingerprint", None)
    if isinstance(own, str) and own:
        return {"fingerprint": own}
    name = type(value).__qualname__
    if hasattr(value, "model_dump"):
        fields = {field: getattr(value, field) for field in type(value).model_fields}
        return {"model": name, "fields": _mapping(fields, place, above)}
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"dataclass": name, "fields": _mapping(fields, place, above)}
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        return _array(value, place)
    raise TypeError(
        f"{place}: cannot make an identity of a {name}; give plain values, paths, arrays, "
        "dataclasses, pydantic models or functions, or put a text `fingerprint` on it that "
        "names its content"
    )


def _array(value: Any, place: str) -> Any:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"{place}: cannot make an identity of an array of Python objects")
    if array.shape == () and array.dtype.kind in "biuf":
        return _plain(array.item())
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    return {
        "array": hashlib.sha256(content).hexdigest(),
        "dtype": array.dtype.name,
        "shape": list(array.shape),
    }


def _function(function: Any, place: str, above: tuple[int, ...]) -> Any:
    """Source and surroundings of a function, so that editing any of it makes another run."""
    if isinstance(function, types.MethodType):
        parts = [function.__func__, function.__self__]
        return _canonical(parts, f"{place}.{function.__name__}", above)
    closed: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with_content = getattr(cell, "cell_contents", None)
        closed[name] = _canonical(with_content, f"{place}.{name}", above)
    for name in sorted(_names(function.__code__)):
        known = function.__globals__.get(name)
        same_module = getattr(known, "__module__", None) == function.__module__
        if isinstance(known, types.FunctionType) and not same_module:
            continue
        if isinstance(known, types.FunctionType | int | float | str | bytes | list | tuple | dict):
            closed[name] = _loosely(known, f"{place}.{name}", above)
    defaults = [function.__defaults__, function.__kwdefaults__]
    return {
        "source": _source(function),
        "closed": closed,
        "defaults": _canonical(defaults, place, above),
    }


def _loosely(value: Any, place: str, above: tuple[int, ...]) -> Any:
    """A global may be anything; one without content that can be compared does not count."""
    try:
        return _canonical(value, place, above)
    except TypeError:
        return None


def _source(function: Callable[..., Any]) -> str:
    """The syntax tree, so that comments and layout do not count; else the bytecode."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        return _bytecode(function.__code__)
    if function.__name__ == "<lambda>":
        # Several may stand in one line, and the line is all the source there is.
        return _bytecode(function.__code__)
    return ast.dump(tree)


def _bytecode(code: types.CodeType) -> str:
    parts = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    names = [*code.co_names, *code.co_varnames, *code.co_freevars]
    return " ".join([code.co_code.hex(), *parts, *names])


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)


def _sha(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()
