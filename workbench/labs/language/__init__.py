"""Language lab: gated linear attention and the MatMul-free model beside their rivals, and yours.

from workbench.labs import language

language.where_linear_wins()  # cost against context, predicted at once and timed here
language.decode()  # text as it is made, tokens a second, memory
language.gates()  # how far back each head remembers
language.train()  # architectures side by side, paused, resumed, branched
language.recall()  # what a state of so many bytes can look up
language.ternary()  # weights of three values: sizes, errors, memory of training
language.own_mixer(mine)  # a mixer of one's own, checked and compared
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "decode": "workbench.labs.language.decode_view",
    "gates": "workbench.labs.language.gates_view",
    "own_mixer": "workbench.labs.language.own_mixer_view",
    "recall": "workbench.labs.language.recall_view:open_recall",
    "ternary": "workbench.labs.language.ternary_view",
    "train": "workbench.labs.language.train_view",
    "where_linear_wins": "workbench.labs.language.cost_view",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _HOMES[name].partition(":")
    return getattr(import_module(module), function or name)
