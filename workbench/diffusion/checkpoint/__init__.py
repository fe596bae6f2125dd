"""Models in their folders: `load_*` and `save_*` for each part of a pipeline.

A folder holds `config.json` beside the weights in safetensors, in the layout of diffusers and
transformers; `Part` says what differs between the kinds.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from workbench.checkpoints import CheckpointError, open_tensors
from workbench.diffusion.dit import DiT, DiTConfig
from workbench.diffusion.text.config import CLIPTextConfig
from workbench.diffusion.text.encoder import CLIPTextEncoder
from workbench.diffusion.unet import UNet2DCondition, UNetConfig
from workbench.diffusion.vae import AutoencoderConfig, AutoencoderKL
from workbench.model_files.keys import file_shapes, key
from workbench.model_files.part import CONFIG, Part, file_tensors

__all__ = [
    "CONFIG",
    "DIT",
    "TEXT_ENCODER",
    "UNET",
    "VAE",
    "WEIGHTS",
    "Part",
    "file_shapes",
    "file_tensors",
    "key",
    "load_config",
    "load_dit",
    "load_text_encoder",
    "load_unet",
    "load_vae",
    "save_dit",
    "save_text_encoder",
    "save_unet",
    "save_vae",
]

WEIGHTS = "diffusion_pytorch_model.safetensors"

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _vae_key(name: str) -> str:
    """Attention goes by other names in old files."""
    return re.sub(
        r"(?<=\.attentions\.0\.)(query|key|value|proj_attn)(?=\.(weight|bias)$)",
        lambda found: _OLD_ATTENTION[found[0]],
        name,
    )


def _text_key(name: str) -> str | None:
    """Some files leave out the prefix, and old ones hold the numbers of the places."""
    if name.endswith("embeddings.position_ids"):
        return None
    bare = not name.startswith(("text_model.", "text_projection."))
    return f"text_model.{name}" if bare else name


def _dit_key(name: str) -> str | None:
    """Some files hold the positions, which are computed here."""
    return None if name == "pos_embed.pos_embed" else name


DIT = Part(DiT, DiTConfig, weights=WEIGHTS, rename=_dit_key)
UNET = Part(UNet2DCondition, UNetConfig, "UNet2DConditionModel", WEIGHTS)
VAE = Part(AutoencoderKL, AutoencoderConfig, "AutoencoderKL", WEIGHTS, _vae_key)
TEXT_ENCODER = Part(CLIPTextEncoder, CLIPTextConfig, rename=_text_key)


def load_unet(
    folder: str | Path, *, dtype: Any = jnp.float32, variant: str | None = None
) -> UNet2DCondition:
    """Read a UNet.

    Args:
        folder: holds `config.json` and the weights, whole or sharded.
        dtype: "float32", "bfloat16" or "int8", whatever the file holds; what is then computed in,
            `workbench.model_files.precision` says.
        variant: a precision variant, such as "fp16", where the folder has several.

    Raises:
        CheckpointError: names the file, and the keys and shapes that are wrong.
        ValueError: a configuration this model does not have; names field and value.

    Cost: memory of the weights and one tensor.
    """
    unet: UNet2DCondition = UNET.load(folder, dtype=dtype, variant=variant)
    return unet


def load_dit(folder: str | Path, *, dtype: Any = jnp.float32, variant: str | None = None) -> DiT:
    """Read a diffusion transformer; arguments and errors as in `load_unet`."""
    dit: DiT = DIT.load(folder, dtype=dtype, variant=variant)
    return dit


def load_vae(
    folder: str | Path, *, dtype: Any = jnp.float32, variant: str | None = None
) -> AutoencoderKL:
    """Read an autoencoder, old files included; arguments and errors as in `load_unet`."""
    vae: AutoencoderKL = VAE.load(folder, dtype=dtype, variant=variant)
    return vae


def load_text_encoder(
    folder: str | Path, *, dtype: Any = jnp.float32, variant: str | None = None
) -> CLIPTextEncoder:
    """Read a text encoder; arguments and errors as in `load_unet`.

    One whose file holds a projection pools through it, whatever its configuration says.
    """
    folder = Path(folder)
    config = TEXT_ENCODER.read_config(folder)
    tensors = open_tensors(folder, dtype=np.float32, variant=variant)
    if "text_projection.weight" in tensors and not config.projection:
        config = config.model_copy(update={"projection": True})
    try:
        encoder: CLIPTextEncoder = TEXT_ENCODER.build(config, tensors, dtype=dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return encoder


def save_unet(
    unet: UNet2DCondition,
    folder: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
    base: str | Path | None = None,
) -> Path:
    """Write a UNet so that diffusers reads it too; int8 kernels become float32.

    Args:
        unet: model with its weights.
        folder: made where missing.
        metadata: text for the file's header.
        shard_bytes: spread the weights over files of at most this many bytes.
        base: folder of a UNet of the same form: the weights are kept as their difference from its,
            in eight bits, which diffusers does not read.

    Returns:
        The weights file, or its index when sharded.

    Raises:
        CheckpointError: the disk refused; a base that is missing or of another form.
    """
    return UNET.save(unet, folder, metadata=metadata, shard_bytes=shard_bytes, base=base)


def save_dit(
    dit: DiT,
    folder: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
) -> Path:
    """Write a diffusion transformer so that diffusers reads it too; all else as in `save_unet`."""
    return DIT.save(dit, folder, metadata=metadata, shard_bytes=shard_bytes)


def save_vae(
    vae: AutoencoderKL,
    folder: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
    base: str | Path | None = None,
) -> Path:
    """Write an autoencoder so that diffusers reads it too; all else as in `save_unet`."""
    return VAE.save(vae, folder, metadata=metadata, shard_bytes=shard_bytes, base=base)


def save_text_encoder(
    encoder: CLIPTextEncoder,
    folder: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int | None = None,
) -> Path:
    """Write a text encoder so that transformers reads it too; all else as in `save_unet`."""
    return TEXT_ENCODER.save(encoder, folder, metadata=metadata, shard_bytes=shard_bytes)


def load_config(folder: str | Path) -> UNetConfig:
    """Read the `config.json` of a UNet.

    Raises:
        ValueError: missing, not JSON, of another class, or with a field or value not supported.
    """
    config: UNetConfig = UNET.read_config(folder)
    return config
