"""How much of a device's peak a convnet reaches, and what holds it back (Lavin 2024).

Two ways of looking: the gap between a network's ideal latency and its measured one (`formula`), and
the waterline, a roofline for a sequence of kernels (`waterline`). Nothing here imports jax but
`counting`, which reads layers off a network.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Bar": "waterline",
    "Layer": "layer",
    "attainable": "waterline",
    "computational_efficiency": "formula",
    "fused": "fusion",
    "ideal_latency": "formula",
    "latency": "formula",
    "layers_of": "counting",
    "published": "published",
    "serial": "fusion",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
