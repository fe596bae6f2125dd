"""What a 4x autoencoder costs beside the 8x one, and what restoring a large picture holds.

Full-size forms with random weights, float32. Both autoencoders encode and decode a picture of the
same size by turns. Then, in a process of its own, TVT's networks are read from a folder and restore
a picture of a quarter of the side tile by tile; memory is the high-water mark above imports.

python benchmarks/super_resolution.py [--tiny] [--side PIXELS] [--repeats N] [--skip-tiled]
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import Benchmark, Figure
from sides import Clock, Memory, apart, worker

if TYPE_CHECKING:
    from workbench.diffusion.super_resolution import Network

SCRIPT = Path(__file__).stem
GIB = 2**30
LIMIT = 8.0
"""GiB a restored picture of `LARGE` pixels may hold."""
SIDE, LARGE = 512, 2048
TOKENS = 77


def main() -> None:
    """Autoencoders by turns, then one large picture."""
    more: list[tuple[str, dict[str, Any]]] = [
        ("--side", {"type": int, "default": SIDE, "help": "pixels of the autoencoders' picture"}),
        ("--repeats", {"type": int, "default": 5}),
        ("--skip-tiled", {"action": "store_true", "help": "leave the large picture out"}),
    ]
    bench, options = Benchmark.from_command(
        __file__, "4x against 8x autoencoder, and a large picture restored by tiles", more=more
    )
    autoencoders(bench, 32 if bench.tiny else options.side, 2 if bench.tiny else options.repeats)
    if not options.skip_tiled:
        tiled(bench, 64 if bench.tiny else LARGE)
    bench.finish()


def forms(tiny: bool) -> tuple[Any, Any, Any]:
    """The 8x and the 4x autoencoder, and the UNet of the second."""
    from workbench.diffusion.super_resolution.forms import TVT_UNET, VAED4, VAED8
    from workbench.diffusion.super_resolution.plan import Plan

    if not tiny:
        return VAED8, VAED4, TVT_UNET
    plan = Plan().tiny()
    return plan.vae8, plan.vae4, plan.unet4


def autoencoders(bench: Benchmark, side: int, repeats: int) -> None:
    """Encoder and decoder of both, the same picture, by turns."""
    import jax
    import jax.numpy as jnp

    from workbench.diffusion.super_resolution.arithmetic import picture_cost
    from workbench.diffusion.super_resolution.networks import fresh
    from workbench.measure.timing import interleaved

    eight, four, _ = forms(bench.tiny)
    picture = jax.random.uniform(jax.random.key(1), (1, side, side, 3), minval=-1)
    thunks: dict[str, Callable[[], Any]] = {}
    for name, form in (("8x", eight), ("4x", four)):
        network = fresh(form, jax.random.key(0))
        z = jnp.zeros((1, side // form.stride, side // form.stride, form.latent_channels))
        encode, decode = programs(network)
        thunks[f"{name} encoder"] = partial(encode, network.weights, picture)
        thunks[f"{name} decoder"] = partial(decode, network.weights, z)
    timed = interleaved(thunks, repeats=repeats, min_time=0.0)
    bench.add_timings(timed)
    for part in ("encoder", "decoder"):
        ours, theirs = timed[f"4x {part}"], timed[f"8x {part}"]
        costs = [getattr(picture_cost(form, None, side, side), part) for form in (four, eight)]
        ratios = sorted(a / b for a, b in zip(ours.samples, theirs.samples, strict=True))
        bench.add(
            Figure(
                f"{side} px: time of the 4x {part} over the 8x one",
                statistics.median(ratios), "×", ratios[0], ratios[-1],
                published=f"MACs: {costs[0] / costs[1]:.3f} ×",
            ),
            Figure(f"{side} px: 4x {part}", ours.median, "s", ours.low, ours.high),
        )  # fmt: skip


def programs(network: Network) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Encoder and decoder of an autoencoder, its weights an argument."""
    import jax

    def encode(weights: Any, x: Any) -> Any:
        return network.model(weights).encode(x).mean

    def decode(weights: Any, z: Any) -> Any:
        return network.model(weights).decode(z)

    return jax.jit(encode), jax.jit(decode)


def tiled(bench: Benchmark, side: int) -> None:
    """One picture of `side` pixels from a quarter of it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        apart(SCRIPT, write, folder, bench.tiny)
        with worker(SCRIPT, restoring, folder, side, bench.tiny) as process:
            found = process.ask("restore")
    bench.raw["tiled"] = {"side": side, **found}
    bench.add(
        Figure(f"{side} px restored by tiles: memory", found["peak"] / GIB, "GiB", at_most=LIMIT),
        Figure(f"{side} px restored by tiles: time, compilation included", found["seconds"], "s"),
    )


def write(folder: str, tiny: bool) -> None:
    """A restorer with random weights, as the training command writes one."""
    import jax

    from workbench.diffusion.checkpoint import save_unet, save_vae
    from workbench.diffusion.super_resolution.networks import fresh
    from workbench.diffusion.super_resolution.restorer import UNET, VAE
    from workbench.diffusion.unet import new_unet

    _, vae, unet = forms(tiny)
    save_vae(fresh(vae, jax.random.key(0)).model(), Path(folder) / VAE)
    save_unet(new_unet(unet), Path(folder) / UNET)


def restoring(folder: str, side: int, tiny: bool) -> Iterator[dict[str, Any]]:
    """Answers with what reading the restorer and restoring held and took."""
    import numpy as np

    from workbench.diffusion.super_resolution.restorer import load_restorer

    memory = Memory()
    context = np.zeros((TOKENS, forms(tiny)[2].cross_attention_dim), np.float32)
    tiles: Any = {"tile": 8, "overlap": 4} if tiny else {}
    restorer = replace(load_restorer(folder, context), **tiles)
    low = np.random.default_rng(0).random((1, side // 4, side // 4, 3), np.float32)
    clock = Clock()
    restored = restorer.restored(low)
    assert restored.shape == (1, side, side, 3)
    assert np.isfinite(restored).all()
    parameters = restorer.vae.parameters + restorer.unet.parameters
    yield {**clock.both(), "peak": memory.peak(), "parameters": parameters}


if __name__ == "__main__":
    main()
