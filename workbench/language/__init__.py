"""Language models whose token mixer and channel mixer are what varies.

Each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.language.checking import check
    from workbench.language.config import DecoderConfig
    from workbench.language.decoder import Decoder
    from workbench.language.loading import load, save
    from workbench.language.own_mixer import mixer
    from workbench.language.packed import pack
    from workbench.language.recall import MQAR
    from workbench.language.studies.beside import beside_rivals
    from workbench.language.tasks import NextToken, Recall
    from workbench.language.token_data import TokenData
    from workbench.language.tokens import BPE, Bytes, Characters

# Names and the modules they are in.
_PLACES = {
    "BPE": "tokens",
    "Bytes": "tokens",
    "Characters": "tokens",
    "MQAR": "recall",
    "NextToken": "tasks",
    "Recall": "tasks",
    "TokenData": "token_data",
    "Decoder": "decoder",
    "DecoderConfig": "config",
    "load": "loading",
    "save": "loading",
    "beside_rivals": "studies.beside",
    "check": "checking",
    "mixer": "own_mixer",
    "pack": "packed",
}

__all__ = [
    "BPE",
    "MQAR",
    "Bytes",
    "Characters",
    "Decoder",
    "DecoderConfig",
    "NextToken",
    "Recall",
    "TokenData",
    "beside_rivals",
    "check",
    "load",
    "mixer",
    "pack",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'workbench.language' has no attribute {name!r}")
    return getattr(import_module(f"workbench.language.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
