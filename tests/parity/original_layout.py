"""A pipeline of diffusers as one file of the original layout."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from workbench.diffusion.loading.forms import TEXTS
from workbench.diffusion.loading.original_names import (
    Origin,
    clip_origin,
    open_clip_origin,
    unet_origin,
    vae_origin,
)

State = dict[str, torch.Tensor]


def write(peer: Any, form: str, file: Path) -> State:
    """Every tensor under its original name; returns what was written."""
    attends = tuple("Cross" in kind for kind in peer.unet.config.up_block_types)
    state: State = {}
    for name, tensor in peer.unet.state_dict().items():
        _put(state, unet_origin(name, peer.unet.config.layers_per_block, attends), tensor)
    for name, tensor in peer.vae.state_dict().items():
        origin = vae_origin(name, len(peer.vae.config.block_out_channels))
        attention = ".mid.attn_1." in origin.name and tensor.ndim == 2
        _put(state, origin, tensor[:, :, None, None] if attention else tensor)
    encoders = [peer.text_encoder, getattr(peer, "text_encoder_2", None)]
    for (prefix, is_open), encoder in zip(TEXTS[form], encoders, strict=False):
        origin_of = open_clip_origin if is_open else clip_origin
        names = encoder.state_dict()
        for name, tensor in names.items():
            _put(state, origin_of(name, prefix), tensor)
        if form == "2":  # the layer that nothing reads
            last = encoder.config.num_hidden_layers
            for name, tensor in names.items():
                if f"layers.{last - 1}." in name:
                    name = name.replace(f"layers.{last - 1}.", f"layers.{last}.")
                    _put(state, origin_of(name, prefix), torch.randn_like(tensor))
        if is_open:
            state[f"{prefix}logit_scale"] = torch.zeros(())
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, file)
    return state


def _put(state: State, origin: Origin, tensor: torch.Tensor) -> None:
    tensor = tensor.T if origin.transposed else tensor
    if origin.third is None:
        state[origin.name] = tensor
        return
    if origin.name not in state:
        state[origin.name] = torch.zeros(3 * tensor.shape[0], *tensor.shape[1:])
    rows = tensor.shape[0]
    state[origin.name][origin.third * rows : (origin.third + 1) * rows] = tensor
