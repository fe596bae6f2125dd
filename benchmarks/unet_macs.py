"""Multiply-accumulates of the Stable Diffusion 1.5 UNet and of what plans leave of them.

Counted on abstract shapes: no weights, no memory, no clock, so the figures are the same anywhere.
"""

from __future__ import annotations

from record import Benchmark, Figure

KEY_STEPS = 9
STEPS = 50


def main() -> None:
    """Both conventions, the parts, and the published savings."""
    bench, _ = Benchmark.from_command(__file__, "Multiply-accumulates of the SD 1.5 UNet")
    from workbench.diffusion import costs
    from workbench.diffusion.unet.config import UNetConfig

    if bench.tiny:
        config = UNetConfig(block_out_channels=(32, 64, 64, 64), cross_attention_dim=32)
        shape = costs.UNetShape(config, 16, 16, 8)
    else:
        shape = costs.UNetShape(UNetConfig(), 64, 64, 77)
    full, decode = costs.full_cost(shape), costs.decode_cost(shape)
    planned = KEY_STEPS * full.macs + (STEPS - KEY_STEPS) * decode.macs
    parts = {"SD 1.5 UNet, one sample of 64×64": full, "its decoder": decode}
    bench.add(
        giga("SD 1.5 UNet, 64×64, batch 1", full.macs, "401.6 (torch, all products)"),
        giga("without attention products", full.no_bmm, "338.83 (DeepCache, table 3)"),
        giga("decoder only: a step between key steps", decode.macs, "270.9 (torch)"),
        Figure(
            "encoder propagation, 9 key steps of 50: change of MACs",
            100 * (planned / (STEPS * full.macs) - 1),
            "%",
            basis="modelled",
            published="−26.2 % of GFLOPs (Faster Diffusion, table 1: 37050 to 27350)",
        ),
    )
    for branch in range(3):
        shallow = costs.shallow_cost(shape, branch)
        parts[f"DeepCache branch {branch}"] = shallow
        bench.add(giga(f"DeepCache partial step, branch {branch}", shallow.macs))
    bench.raw["parts"] = {k: {"macs": v.macs, "no_bmm": v.no_bmm} for k, v in parts.items()}
    bench.finish()


def giga(name: str, macs: float, published: str = "") -> Figure:
    """A figure in units of 10⁹ multiply-accumulates."""
    return Figure(name, macs / 1e9, "GMAC", basis="modelled", published=published)


if __name__ == "__main__":
    main()
