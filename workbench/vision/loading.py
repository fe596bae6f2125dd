"""Networks read from timm's folders and hub names unchanged, and written as timm reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError
from workbench.model_files import hub
from workbench.model_files.part import CONFIG
from workbench.vision.networks import ConvNet
from workbench.vision.timm_files import PART

HUB_PREFIXES = ("hf-hub:", "hf_hub:")
"""As timm writes names of the hub."""


def load(source: str | Path, *, dtype: Any = "float32") -> ConvNet:
    """A network of a folder or a hub name.

    Args:
        source: a folder with `config.json` and safetensors, or "timm/convnext_atto.d2_in1k", which
            is looked for in the hub's cache and then fetched.
        dtype: "float32", "bfloat16" or "int8", whatever the file holds; what is then computed in,
            `workbench.model_files.precision` says.

    Returns:
        The network; `config.preprocessing.prepare` makes its input of pictures.

    Raises:
        CheckpointError: no such folder, no configuration, keys or shapes that are wrong, NaN.
        ValueError: a network that is not known, or a field or value that is not supported.

    Cost: memory of the weights and one tensor.
    """
    name = str(source)
    for prefix in HUB_PREFIXES:
        name = name.removeprefix(prefix)
    folder = hub.find(
        source if name == str(source) else name,
        index=CONFIG,
        is_whole=lambda place: any(place.glob("*.safetensors")),
        wanted=[CONFIG, "*.safetensors", "*.safetensors.index.json"],
        unwanted=["*/*"],
    )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: a file; needed the folder with {CONFIG} and weights")
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder}: no {CONFIG} here, which names the network, such as"
            ' {"architecture": "convnext_tiny", "num_classes": 1000}'
        )
    model: ConvNet = PART.load(folder, dtype=dtype)
    return model


def save(model: ConvNet, folder: str | Path, *, metadata: Mapping[str, str] | None = None) -> Path:
    """Writes a network as timm reads it; one that timm does not have, with its table.

    Args:
        model: with its weights; int8 kernels become float32.
        folder: made where missing.
        metadata: text for the header of the weights.

    Returns:
        The weights file.

    Raises:
        CheckpointError: the disk refused, or the model's batch norms are folded.
    """
    return PART.save(model, folder, metadata=metadata)
