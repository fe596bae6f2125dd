"""2048 pixels a side within 8 GiB: what a full-size tile needs."""

import jax
import jax.numpy as jnp
import pytest

from workbench.diffusion.super_resolution.forms import TVT_UNET, VAED4
from workbench.diffusion.super_resolution.networks import Network, shapes
from workbench.diffusion.super_resolution.restorer import TILE
from workbench.diffusion.super_resolution.restoring import cleaned

GIB = 2**30


def working(function, network: Network, *arguments: jax.ShapeDtypeStruct) -> int:
    """Bytes beside the weights, as XLA plans them for this device.

    The plan is made before the code, which is never run and so may be slow.
    """
    lowered = jax.jit(function).lower(network.weights, *arguments)
    plan = lowered.compile({"xla_backend_optimization_level": 0}).memory_analysis()
    return int(plan.temp_size_in_bytes + plan.output_size_in_bytes)


@pytest.mark.slow
@pytest.mark.long
def test_a_full_size_tile_fits() -> None:
    """Weights of both networks, the hungriest tile, and what lies on the host."""
    vae, unet = shapes(VAED4), shapes(TVT_UNET)
    pixels = jax.ShapeDtypeStruct((1, TILE * VAED4.stride, TILE * VAED4.stride, 3), jnp.float32)
    latent = jax.ShapeDtypeStruct((1, TILE, TILE, 4), jnp.float32)
    text = jnp.zeros((77, 1024))
    found = {
        "encoder": working(lambda w, x: vae.model(w).encode(x).mean, vae, pixels),
        "UNet": working(lambda w, z: cleaned(unet.model(w), z, text), unet, latent),
        "decoder": working(lambda w, z: vae.model(w).decode(z), vae, latent),
    }
    weights = 4 * (vae.parameters + unet.parameters)
    host = 4 * 2048 * 2048 * (3 + 3 + 1 + 3)
    assert weights + max(found.values()) + host < 8 * GIB, found
