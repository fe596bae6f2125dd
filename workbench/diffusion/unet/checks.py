"""What a UNet is given, held against what its form reads."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from workbench.diffusion.unet.added import AddedConditions, Residuals
from workbench.diffusion.unet.config import SIZES, UNetConfig
from workbench.diffusion.unet.program import Node
from workbench.diffusion.unet.transformer import Context, KeysValues


def check_inputs(
    config: UNetConfig, x: Array | None, context: Context | None, batch: int, nodes: Iterable[Node]
) -> None:
    """Holds image and context against what `nodes` read.

    Raises:
        ValueError: missing, or of another shape.
    """
    nodes = tuple(nodes)
    if any(node.kind == "conv_in" for node in nodes):
        if x is None:
            raise ValueError("x is None, but the encoder's first layer must run for what is wanted")
        if x.ndim != 4 or x.shape[-1] != config.in_channels:
            raise ValueError(f"x has shape {x.shape}; needed [B, H, W, {config.in_channels}]")
        if x.shape[1] % config.stride or x.shape[2] % config.stride:
            raise ValueError(
                f"x has shape {x.shape}; height and width must be multiples of {config.stride}"
            )
    if not any(".transformer." in unit for node in nodes for unit in node.units):
        return
    needed = f"[{batch}, T, {config.cross_attention_dim}]"
    if context is None:
        raise ValueError(f"context is None; this UNet attends to one of shape {needed}")
    if isinstance(context, Mapping):
        _check_keys_values(context, batch, nodes)
    elif (
        context.ndim != 3
        or context.shape[0] != batch
        or context.shape[2] != config.cross_attention_dim
    ):
        raise ValueError(f"context has shape {context.shape}; needed {needed}")


def _check_keys_values(
    context: Mapping[str, KeysValues], batch: int, nodes: Iterable[Node]
) -> None:
    units = (unit for node in nodes for unit in node.units)
    blocks = [u.rpartition(".")[0] for u in units if u.endswith(".cross_attention")]
    missing = [block for block in blocks if block not in context]
    if missing:
        raise ValueError(f"keys and values of the context lack {missing[0]!r}")
    sizes = {context[block][0].shape[0] for block in blocks}
    if sizes != {batch}:
        raise ValueError(f"keys and values are for {sorted(sizes)} pictures; there are {batch}")


def check_added(added: AddedConditions | None, batch: int, pooled_width: int) -> None:
    """Holds added conditions against what a form reads.

    Raises:
        ValueError: missing, not wanted, or of another shape.
    """
    if pooled_width == 0:
        if added is not None:
            raise ValueError("added is given, but this UNet reads a context only; leave it None")
        return
    needed = {"pooled": (batch, pooled_width), "time_ids": (batch, SIZES)}
    if added is None:
        raise ValueError(f"added is None; this UNet reads AddedConditions of shapes {needed}")
    for name, shape in needed.items():
        found = getattr(added, name).shape
        if found != shape:
            raise ValueError(f"added.{name} has shape {found}; needed {shape}")


def check_residuals(residuals: Residuals, skips: int) -> None:
    """Holds a ControlNet's residuals against the number of skips.

    Raises:
        ValueError: too few or too many.
    """
    if len(residuals.skips) != skips:
        raise ValueError(f"residuals have {len(residuals.skips)} skips; this UNet has {skips}")


def batch_size(x: Array | None, values: Mapping[str, Any]) -> int:
    """Number of images: of x, else of what is given.

    Raises:
        ValueError: values of different batches.
    """
    if x is not None:
        return x.shape[0]
    sizes = {jnp.shape(v)[0] for v in values.values()}
    if len(sizes) != 1:
        raise ValueError(
            f"x is None, so the values given must agree on the batch; they have {sorted(sizes)}"
        )
    return sizes.pop()
