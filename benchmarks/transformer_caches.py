"""Do caches of a diffusion transformer save the time their arithmetic promises?

DiT-XL/2 at 256 × 256 pixels in its true shape with random weights, DDIM with guidance, latents
only: full sampling, encoder propagation, TaylorSeer, and the two bounds of the first-block cache
(it never reuses, which is the price of asking; it always does after the first step), by turns.

python benchmarks/transformer_caches.py [--tiny] [--repeats N]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from record import Benchmark, Figure

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline

STEPS, GUIDANCE = 10, 4.0
FULL, AGAIN = "full sampling", "full sampling again"
ASKED = "first-block cache, never reusing"
REUSED = "first-block cache, always reusing"


def main() -> None:
    """Every method by turns on one shape."""
    more = [("--repeats", {"type": int, "default": 5})]
    bench, options = Benchmark.from_command(
        __file__, "Time saved by caches of a diffusion transformer", more=more
    )
    measure(bench, pipeline(bench.tiny), 3 if bench.tiny else options.repeats)
    bench.finish()


def measure(bench: Benchmark, base: Pipeline, repeats: int) -> None:
    """Times all methods and holds the speed-up against the arithmetic saved."""
    import numpy as np

    from workbench.diffusion.dit.cached_sampling import CachedPipeline
    from workbench.diffusion.dit.first_block_steps import FirstBlock
    from workbench.measure.timing import interleaved, relative_noise

    inputs, found = base.inputs((0,)), methods()
    artifacts = {name: method.prepare(base) for name, method in found.items()}
    # Beyond the slider's end, so that it reuses whatever the random weights do.
    artifacts[REUSED] = CachedPipeline(base, FirstBlock(math.inf))
    thunks: dict[str, Any] = {
        name: run(method, artifacts[name], inputs) for name, method in found.items()
    }
    timed = interleaved(thunks, repeats=repeats)
    bench.add_timings(timed)
    reference = np.asarray(thunks[FULL]()["latents"])
    exact = float(np.abs(np.asarray(thunks[ASKED]()["latents"]) - reference).max())
    noise = relative_noise(timed[FULL].samples, timed[AGAIN].samples)
    words = "tiny DiT" if bench.tiny else "DiT-XL/2, 256 × 256, batch 1"
    bench.add(
        Figure(f"{words}: full sampling, a step", 1e3 * timed[FULL].median / STEPS, "ms"),
        Figure(f"{words}: noise of a time ratio (A/A)", 100 * noise, "%"),
        Figure(f"{words}: {ASKED}, largest difference to full sampling", exact, ""),
    )
    macs = {name: method.predict(base).macs for name, method in found.items()}
    macs[REUSED], macs[ASKED] = reused_macs(base), macs[FULL]
    for name in found:
        if name in (FULL, AGAIN):
            continue
        ratios = [a / b for a, b in zip(timed[FULL].samples, timed[name].samples, strict=True)]
        low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
        promised = f"MACs promise {macs[FULL] / macs[name]:.3f} ×"
        bench.add(Figure(f"{words}: {name}, speed-up", middle, "×", low, high, published=promised))
    bench.raw["macs"] = macs
    bench.raw["parameters"] = sum(int(array.size) for array in base.weights)


def methods() -> dict[str, Any]:
    """The methods compared, by their names in the record."""
    from workbench.diffusion.dit.first_block_cache import FirstBlockCache
    from workbench.diffusion.dit.taylorseer import TaylorSeer
    from workbench.diffusion.encoder_propagation import EncoderPropagation
    from workbench.diffusion.full_sampling import FullSampling

    propagation = {"key_steps": "uniform", "interval": 4}
    return {
        FULL: FullSampling(),
        "encoder propagation every 4, one by one": EncoderPropagation(
            **propagation, largest_group=1
        ),
        "encoder propagation every 4, in groups": EncoderPropagation(**propagation),
        "TaylorSeer every 4, order 1": TaylorSeer(),
        ASKED: FirstBlockCache(threshold=0.0),
        REUSED: FirstBlockCache(threshold=1.0),
        AGAIN: FullSampling(),
    }


def reused_macs(base: Pipeline) -> float:
    """One full step, then the first block and the output alone."""
    from workbench.diffusion.costs import abstract_unet, unit_costs

    blocks = abstract_unet(base.config).block_names()
    costs = unit_costs(base.shape)
    rest = costs.nodes[1 : 1 + len(blocks)]
    skipped = sum(node.cost.macs for node in rest[1:])
    return (STEPS * costs.full.macs - (STEPS - 1) * skipped) * base.passes


def run(method: Any, artifact: Any, inputs: Any) -> Any:
    """A run of one method as a function of no arguments."""
    return lambda: method.apply(artifact, inputs)


def pipeline(tiny: bool) -> Pipeline:
    """A pipeline of the true shape, or a tiny one, with random weights."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from workbench.diffusion.costs import abstract_unet
    from workbench.diffusion.dit import ClassLabels, DiTConfig
    from workbench.diffusion.pipeline import Pipeline
    from workbench.diffusion.plan import Plan
    from workbench.diffusion.schedulers import DDIM

    small = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "sample_size": 8}
    config = DiTConfig(**small) if tiny else DiTConfig()
    draw = np.random.default_rng(0)

    def weights(leaf: Any) -> Any:
        limit = 1 / math.sqrt(math.prod(leaf.shape[:-1]) or 1)
        return jnp.asarray(draw.uniform(-limit, limit, leaf.shape).astype(np.float32))

    state = nnx.split(abstract_unet(config))[1]
    return Pipeline(
        name="DiT",
        config=config,
        weights=tuple(weights(leaf) for leaf in jax.tree.leaves(state)),
        conditioning=ClassLabels(config.num_embeds_ada_norm),
        scheduler=DDIM(clip_sample=False),
        weights_hash="random",
        steps=STEPS,
        guidance=GUIDANCE,
        plan=Plan.full(STEPS),
    )


if __name__ == "__main__":
    main()
