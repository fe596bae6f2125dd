"""A token mixer of one's own: a class or a few functions, from a file or a notebook cell."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.runs import identity
from workbench.study.version import version_of

if TYPE_CHECKING:
    from workbench.language.mixers.own import OwnConfig

REQUIRED = {"init": ("key", "width"), "step": ("params", "state", "x")}
OPTIONAL = {
    "initial": ("params", "batch"),
    "parallel": ("params", "x"),
    "cost": ("width", "length"),
}


class MixerError(TypeError):
    """A mixer of one's own that is not what it must be; says which part, and what it returned."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The functions a mixer is made of; `mixer` says what each of them is.

    Attributes:
        name: shown on screen.
        module: where it was written.
        maker: the class it is of, or the functions; what its code is known by.
        settings: of the class.
    """

    name: str
    module: str
    maker: Any
    init: Callable[..., Any]
    step: Callable[..., Any]
    initial: Callable[..., Any] | None = None
    parallel: Callable[..., Any] | None = None
    cost: Callable[..., Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the source and the settings: an edited mixer is another one.

        Raises:
            TypeError: it uses something without content that could be compared.
        """
        is_class = isinstance(self.maker, type)
        code = version_of(self.maker, object) if is_class else self.maker
        return identity.digest({"code": code, "settings": dict(self.settings)})

    def takes(self, part: str, argument: str) -> bool:
        """Whether a part has an argument of this name."""
        function = getattr(self, part)
        return function is not None and argument in inspect.signature(function).parameters


def mixer(
    cls: type | None = None,
    *,
    init: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    initial: Callable[..., Any] | None = None,
    parallel: Callable[..., Any] | None = None,
    cost: Callable[..., Any] | None = None,
    name: str | None = None,
) -> OwnConfig:
    """Makes a token mixer of a class (as a decorator), or of functions.

        @mixer
        class Decay:
            def __init__(self, rate=0.9):
                self.rate = rate

            def init(self, key, width):
                return {"w": jax.random.normal(key, (width, width)) * width**-0.5}

            def step(self, params, state, x):
                state = self.rate * state + x
                return state, state @ params["w"]

        DecoderConfig(..., mixers=(Decay,))        # or Decay(rate=0.5)

    A class has the functions below as methods; what its `__init__` takes, each with a default, are
    settings. Nothing has to be registered, and an edited mixer is a new one to every saved run.

    Args:
        cls: the class.
        init: `init(key, width)` gives the weights, any pytree of floating arrays. They are kept in
            float32; where a model computes in bfloat16, matrices come in it and vectors do not.
        step: `step(params, state, x)` with x [B, D], one token a row, gives (state, y [B, D]).
        initial: `initial(params, batch)` gives the state before the first token, any pytree of
            arrays whose first axis is the batch; a third argument `length` gets the most tokens
            there will be. Without it, the state is zeros [B, D] in float32.
        parallel: `parallel(params, x)` with x [B, T, D] gives y [B, T, D] of whole texts at once,
            which must be what `step` gives; with a third argument `segment_ids` [B, T] (or None)
            it also serves texts packed into rows. Without it, `step` is scanned.
        cost: `cost(width, length)` gives the multiply-adds a token of mixing `length` tokens,
            products with weights left out. Without it they are counted where they are products.
        name: on screen; the class's or the step's name where left out.

    Raises:
        MixerError: a part is missing or takes other arguments.
    """
    if (cls is None) == (step is None and init is None):
        raise MixerError("mixer: give a class, or the functions init and step")
    if cls is not None:
        return from_class(cls, {}, name)
    given = {"init": init, "step": step, "initial": initial, "parallel": parallel, "cost": cost}
    label = name or getattr(step, "__qualname__", None) or "mixer"
    return _config(label, getattr(step, "__module__", "") or "", tuple(given.values()), given, {})


def from_class(cls: type, settings: dict[str, Any], name: str | None = None) -> OwnConfig:
    """The mixer of a class with settings.

    Raises:
        MixerError: settings the class does not take, or a part that is not as it must be.
    """
    if not isinstance(cls, type):
        raise MixerError(f"mixer: {cls!r} is no class; give functions by name: mixer(init=, step=)")
    try:
        made = cls(**settings)
    except TypeError as problem:
        raise MixerError(
            f"{cls.__qualname__}: cannot be made with {settings or 'its defaults'}: {problem}"
        ) from problem
    parts = {part: getattr(made, part, None) for part in (*REQUIRED, *OPTIONAL)}
    return _config(name or cls.__qualname__, cls.__module__, cls, parts, settings)


def _config(
    name: str, module: str, maker: Any, parts: Mapping[str, Any], settings: dict[str, Any]
) -> OwnConfig:
    from workbench.language.mixers.own import OwnConfig

    for part, arguments in (REQUIRED | OPTIONAL).items():
        _require(name, part, arguments, parts[part])
    return OwnConfig(parts=Parts(name=name, module=module, maker=maker, settings=settings, **parts))


def _require(name: str, part: str, arguments: tuple[str, ...], function: Any) -> None:
    wanted = f"{part}({', '.join(arguments)})"
    if function is None:
        if part in REQUIRED:
            raise MixerError(f"{name}: has no {wanted}")
        return
    if not callable(function):
        raise MixerError(f"{name}.{part}: is {function!r}; must be a function {wanted}")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        try:  # one more argument is known for these
            more = {"initial": "length", "parallel": "segment_ids"}[part]
            inspect.signature(function).bind(*arguments, more)
        except (KeyError, TypeError):
            found = inspect.signature(function)
            raise MixerError(f"{name}.{part}: takes {found}; must be {wanted}") from None
