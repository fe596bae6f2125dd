"""Mixers as code: what "Copy as code" writes for those a panel was given."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from workbench.language.mixers.own import OwnConfig
    from workbench.language.mixing import MixerConfig

MAKER = "from workbench.language import mixer"
NOTEBOOK = "__main__"


@dataclass(frozen=True)
class Code:
    """An expression, and the lines it needs before it: imports, or comments.

    Attributes:
        before: in any order.
    """

    expression: str
    before: list[str] = field(default_factory=list)


def code_of(mixer: MixerConfig) -> Code:
    """The mixer's constructor with its settings.

    One of one's own is called by the name it has in its module; where it has none there, by an
    identifier like its name on the screen, and a comment says that this is to be bound.
    """
    if mixer.kind != "own":
        record = {"kind": mixer.kind, **mixer.model_dump(mode="json", exclude_defaults=True)}
        return Code(f"mixer_of({record!r})", ["from workbench.language.mixers import mixer_of"])
    own = cast("OwnConfig", mixer)
    return _bound(own) or _made(own) or _unbound(own)


def _bound(own: OwnConfig) -> Code | None:
    """By the name of a mixer in its module: this one, or one that takes its settings."""
    from workbench.language.mixers.own import OwnConfig

    alike = {
        name: value for name, value in _there(own).items()
        if isinstance(value, OwnConfig) and not name.startswith("_")
        and (value.parts.maker, value.name) == (own.parts.maker, own.name)
    }  # fmt: skip
    for name, value in alike.items():
        if repr(value) == repr(own):
            return Code(name, _where(own, name))
    call = _call(own.parts.settings)
    for name, value in alike.items():
        if call is not None and set(value.parts.settings) <= set(own.parts.settings):
            return Code(name + call, _where(own, name))
    return None


def _made(own: OwnConfig) -> Code | None:
    """Of a class that stands in its module and is made a mixer here."""
    maker: Any = own.parts.maker
    call = _call(own.parts.settings)
    if call is None or not isinstance(maker, type):
        return None
    name, label = maker.__name__, "" if own.name == maker.__qualname__ else f", name={own.name!r}"
    if _there(own).get(name) is not maker:
        return None
    return Code(f"mixer({name}{label}){call}", [MAKER, *_where(own, name)])


def _unbound(own: OwnConfig) -> Code:
    """By an identifier, with a comment that says what it stands for."""
    maker, settings = own.parts.maker, own.parts.settings
    name = _identifier(maker.__name__ if isinstance(maker, type) else own.name)
    call = _call(settings)
    about = repr(own.name) if call is not None else f"{own.name!r} with {settings!r}"
    words = f"# {name}: your mixer {' '.join(about.split())}, made by workbench.language.mixer"
    return Code(name + (call or ""), [words])


def _there(own: OwnConfig) -> dict[str, Any]:
    return dict(vars(sys.modules.get(own.parts.module) or object))


def _where(own: OwnConfig, name: str) -> list[str]:
    """An import of what stands in a file; what stands in the notebook is there."""
    module = own.parts.module
    return [] if module == NOTEBOOK else [f"from {module} import {name}"]


def _call(settings: Mapping[str, Any]) -> str | None:
    """Settings in parentheses, nothing where there are none; None where one is no literal."""
    call = f"({', '.join(f'{name}={value!r}' for name, value in settings.items())})"
    try:
        for value in settings.values():
            ast.literal_eval(repr(value))
    except (SyntaxError, ValueError):
        return None
    return call if settings else ""


def _identifier(name: str) -> str:
    found = re.sub(r"\W+", "_", name).strip("_") or "mine"
    return f"my_{found}" if found[0].isdigit() or iskeyword(found) else found
