"""What makes a run the run it is, as one hash, the same in every process and on every day."""

from __future__ import annotations

import ast
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import json
import math
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from workbench.syntax import syntax_tree

_PLAIN = (type(None), bool, int, float, str, bytes)
GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME")


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


def source(cls: type) -> str:
    """Digest of the body of a class, with the globals its functions name.

    Raises:
        TypeError: naming a global or an attribute without content that could be compared.
    """
    return _sha(_body(cls, cls.__qualname__, (id(cls),)))


def fingerprint(value: Any) -> str:
    """The fingerprint an object declares (`.fingerprint`), otherwise the digest of its content."""
    own = getattr(value, "fingerprint", None)
    if callable(own):
        own = own()
    return own if isinstance(own, str) and own else digest(value)


def canonical(value: Any, place: str) -> Any:
    """JSON values that are equal exactly where the values are equal.

    Order of keys does not count, nor does tuple or list, nor 1 or 1.0; True is not 1. Arrays count
    by dtype, shape and content; functions by source, by what they close over, and by the globals
    they name: values by content, functions and classes of the same module by source, and what was
    imported by its name.

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
    if _wraps(value):
        return _canonical(value.__wrapped__, place, above)
    if isinstance(value, types.FunctionType | types.MethodType):
        return {"function": _function(value, place, above)}
    if isinstance(value, types.BuiltinFunctionType | types.ModuleType):
        return {"builtin": f"{getattr(value, '__module__', '')}.{value.__name__}"}
    if isinstance(value, staticmethod | classmethod | property):
        inner = value.fget if isinstance(value, property) else value.__func__
        return _canonical(inner, place, above)
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
    if (parts := _tree(value)) is not None:
        return {"tree": name, "parts": _canonical(parts, place, above)}
    raise TypeError(
        f"{place}: cannot make an identity of a {name}; give plain values, paths, arrays, "
        "dataclasses, pydantic models or functions, or put a text `fingerprint` on it that "
        "names its content"
    )


def _tree(value: Any) -> list[Any] | None:
    """Structure and leaves of a model or another of jax's trees; None for what is no tree."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    leaves, structure = jax.tree.flatten(value)
    return None if jax.tree.structure(0) == structure else [str(structure), *leaves]


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
    for name in sorted(_globals(function.__code__)):
        if name in function.__globals__:
            known = function.__globals__[name]
            closed[name] = _named(known, function.__module__, f"{place}.{name}", above)
    defaults = [function.__defaults__, function.__kwdefaults__]
    return {
        "source": _source(function),
        "closed": closed,
        "defaults": _canonical(defaults, place, above),
    }


def _wraps(value: Any) -> bool:
    """Whether imported code stands around a function: a jit, a cache, a checker of types."""
    if not callable(value) or not hasattr(value, "__wrapped__"):
        return False
    around = getattr(value, "__globals__", {}).get("__name__")
    return around != getattr(value, "__module__", None)


def _named(value: Any, module: str, place: str, above: tuple[int, ...]) -> Any:
    """A global that a function of `module` names; imported code goes by its name."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    home = getattr(value, "__module__", None)
    if isinstance(name, str) and callable(value) and home not in (None, module):
        return {"imported": f"{home}.{name}"}
    if isinstance(value, type) and id(value) not in above:
        return {"class": value.__qualname__, "body": _body(value, place, (*above, id(value)))}
    return _canonical(value, place, above)


def _body(cls: type, place: str, above: tuple[int, ...]) -> Any:
    """What the body of a class says, member by member; its file may be a notebook cell."""
    schema = cls.model_json_schema() if hasattr(cls, "model_json_schema") else None
    found: dict[str, Any] = {"schema": schema and _text(schema)}
    for name, value in vars(cls).items():
        code = isinstance(value, types.FunctionType | staticmethod | classmethod | property)
        if inspect.isdatadescriptor(value) and not code:
            found[name] = type(value).__qualname__
        elif code or (schema is None and not name.startswith("_")):
            found[name] = _named(value, cls.__module__, f"{place}.{name}", above)
    return found


def _source(function: Callable[..., Any]) -> str:
    """The syntax tree, so that comments and layout do not count; else the bytecode."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        tree = syntax_tree(text)
    except (OSError, TypeError, SyntaxError):
        return _bytecode(function.__code__)
    if function.__name__ == "<lambda>":
        # Several may stand in one line, and the line is all the source there is.
        return _bytecode(function.__code__)
    return ast.dump(tree)


def _bytecode(code: types.CodeType) -> str:
    parts = [_constant(constant) for constant in code.co_consts]
    names = [*code.co_names, *code.co_varnames, *code.co_freevars]
    return " ".join([code.co_code.hex(), *parts, *names])


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _bytecode(value)
    # A set literal's order changes from process to process.
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _globals(code: types.CodeType) -> set[str]:
    """Names of globals that a function and the functions inside it read."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in GLOBAL_READS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _globals(constant)
    return names


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)


def _sha(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()
