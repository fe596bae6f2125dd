"""What a UNet with weights in bfloat16 or int8 computes in on this CPU: float32, or bfloat16.

The two outer levels of Stable Diffusion 1.5, a layer a block, random weights, a batch of 2 on
32 x 32 latents with 77 tokens; every way to hold and to compute by turns in one process, warm.
`workbench.model_files.precision` decides by what this measures.

python benchmarks/unet_precision_cpu.py [--tiny] [--repeats N] [--threads one]
"""

from __future__ import annotations

import sys
from typing import Any

from rates import Watch
from record import THREADS, Benchmark, Figure, ratio

HELD = ("float32", "bfloat16", "int8")
WIDTHS, TINY_WIDTHS = (320, 640), (32, 64)
BATCH, PIXELS, TOKENS = 2, 32, 77


def main() -> int:
    """Rounds by turns, then the ratios that decide."""
    more = [("--repeats", {"type": int, "default": 7}), THREADS]
    title = "A UNet in bfloat16 and int8 on this CPU"
    bench, options = Benchmark.from_command(__file__, title, more=more)
    from workbench.measure.timing import interleaved

    watch = Watch(bench)
    thunks = sides(TINY_WIDTHS if bench.tiny else WIDTHS)
    watch()
    timed = interleaved(thunks, repeats=2 if bench.tiny else options.repeats)
    watch()
    bench.add_timings(timed)
    whole = timed[words("float32", "float32")]
    bench.add(Figure(f"{whole.name}: forward", whole.median, "s", *whole.quartiles))
    for held in HELD[1:]:
        for computed in HELD[:2]:
            name = words(held, computed)
            for what, samples, all_float in (
                ("time", timed[name].samples, whole.samples),
                ("processor time", timed[name].cpu_samples, whole.cpu_samples),
            ):
                bench.add(ratio(f"{name}: {what} over float32's", samples, all_float))
    return watch.finish()


def words(held: str, computed: str) -> str:
    """Names a side in the table."""
    return f"UNet of two levels, weights in {held}, computed in {computed}"


def sides(widths: tuple[int, ...]) -> dict[str, Any]:
    """A warm call of each way to hold and to compute."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from workbench.diffusion.checkpoint import UNET, file_tensors
    from workbench.diffusion.unet import UNetConfig, new_unet
    from workbench.model_files.precision import Precision

    attending = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    config = UNetConfig(
        block_out_channels=widths,
        down_block_types=(attending[0],) * len(widths),
        up_block_types=(attending[1],) * len(widths),
        layers_per_block=1,
        sample_size=PIXELS,
    )
    tensors = {name: np.asarray(value) for name, value in file_tensors(new_unet(config)).items()}
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=(BATCH, PIXELS, PIXELS, 4)).astype(np.float32))
    context = draw.normal(size=(BATCH, TOKENS, config.cross_attention_dim)).astype(np.float32)
    t = jnp.full((BATCH,), 501.0, jnp.float32)
    found = {}
    for held in HELD:
        for computed in HELD[: 1 if held == "float32" else 2]:
            how = Precision(held, np.dtype(getattr(jnp, computed)))
            graph, weights = nnx.split(UNET.build(config, tensors, dtype=how))

            def run(weights: Any, *given: Any, graph: Any = graph) -> Any:
                return nnx.merge(graph, weights)(*given)

            compiled = jax.jit(run).lower(weights, x, t, jnp.asarray(context)).compile()
            given = (weights, x, t, jnp.asarray(context))
            found[words(held, computed)] = lambda compiled=compiled, given=given: compiled(*given)
    return found


if __name__ == "__main__":
    sys.exit(main())
