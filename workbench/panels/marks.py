"""Which colour and mark a method has: the palette's registry, asked by name."""

from __future__ import annotations

from workbench.panels.picture import Mark


def slot_of(method: Mark) -> int | None:
    """Slot 0 to 9 of a method; a number stands for itself, None for no mark."""
    if method is None or isinstance(method, int):
        return method
    from workbench.figures import palette

    return int(palette.slot(method))
