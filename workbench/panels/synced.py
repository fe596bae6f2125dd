"""What kernel and browser both hold of a panel, and the order of what a browser says."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets


class Synced(anywidget.AnyWidget):
    """The traits of a panel.

    Jupyter holds changed traits back while the kernel is at an earlier change, and lets other
    messages overtake them: Stop would come before the settings whose run it is to stop. So the
    browser counts its `moves`, the kernel answers with those it has `followed`, and the browser
    sends nothing else in between.
    """

    schema = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    problems: traitlets.List[Any] = traitlets.List().tag(sync=True)
    hints = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    pins: traitlets.List[Any] = traitlets.List().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    preset = traitlets.Int(-1).tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    opening = traitlets.Dict().tag(sync=True)
    """The first picture while nothing has changed it: a browser has it without asking the kernel,
    which may be busy with the cells below."""
    moves = traitlets.Int(0).tag(sync=True)
    followed = traitlets.Int(0).tag(sync=True)

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        traitlets.dlink((self, "moves"), (self, "followed"))
