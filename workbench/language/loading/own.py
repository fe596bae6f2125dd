"""Our own layout, which holds every decoder: its record beside tensors named as its modules are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.loading.layout import SPECIAL, Layout, configuration

MODEL_TYPE = "workbench-decoder"
NOTES = ("model_type", "architectures", *SPECIAL)


def read(fields: Mapping[str, Any]) -> DecoderConfig:
    """The decoder of a record."""
    record = {name: value for name, value in fields.items() if name not in NOTES}
    return configuration(MODEL_TYPE, record)


def write(config: DecoderConfig) -> dict[str, Any]:
    """A decoder's record."""
    return config.record()


LAYOUT = Layout(MODEL_TYPE, read, write)
