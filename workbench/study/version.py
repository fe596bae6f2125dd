"""What a method's code is, as a text that changes when the code does."""

from __future__ import annotations

from workbench.runs import identity


def version_of(cls: type, base: type) -> str:
    """The version a class declares; for one that declares none, its own source and its parent's.

    A subclass that overrides a verb does not inherit its parent's version: it is other code.

    Args:
        cls: the class.
        base: the ancestor at which looking ends.

    Raises:
        TypeError: naming what a class without a version uses that has no content to compare.
    """
    parts = []
    for part in cls.__mro__:
        if part is base:
            break
        declared = vars(part).get("version")
        if declared:
            parts.append(str(declared))
            break
        parts.append(_source(part))
    return parts[0] if len(parts) == 1 else identity.digest(parts)[:16]


def _source(cls: type) -> str:
    try:
        return identity.source(cls)[:16]
    except TypeError as problem:
        raise TypeError(
            f'{problem}; or declare `version = "1"` on {cls.__qualname__}, and raise it when its '
            "results change"
        ) from None
