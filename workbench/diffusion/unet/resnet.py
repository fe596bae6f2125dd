"""The residual convolution unit."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from workbench.diffusion.unet.conditional import ConditionalConv
from workbench.diffusion.unet.config import Routing
from workbench.diffusion.unet.layers import Conv, GroupNorm, dense
from workbench.diffusion.unet.taps import NO_TAPS, Taps


class ResnetBlock(nnx.Module):
    """shortcut(x) + conv(silu(norm(conv(silu(norm(x))) + time))).

    With several `experts` its 3x3 convolutions mix as many kernels for each sample.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        groups: int,
        eps: float,
        time_width: int | None,
        experts: int = 1,
        routing: Routing = "softmax",
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        def convolution(inputs: int) -> Conv | ConditionalConv:
            if experts == 1:
                return Conv(inputs, outputs, 3, dtype=dtype, rngs=rngs)
            return ConditionalConv(inputs, outputs, 3, experts, routing, dtype=dtype, rngs=rngs)

        self.norm1 = GroupNorm(inputs, groups, eps=eps, dtype=dtype)
        self.conv1 = convolution(inputs)
        if time_width is not None:
            self.time_emb_proj = dense(time_width, outputs, dtype=dtype, rngs=rngs)
        self.norm2 = GroupNorm(outputs, groups, eps=eps, dtype=dtype)
        self.conv2 = convolution(outputs)
        if inputs != outputs:
            self.conv_shortcut = Conv(inputs, outputs, 1, dtype=dtype, rngs=rngs)
        self.has_shortcut = inputs != outputs

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        temb: Float[Array, "B E"] | None = None,
        taps: Taps = NO_TAPS,
        name: str = "",
    ) -> Float[Array, "B H W D"]:
        """Its residual is the unit `<name>.resnet`; the shortcut stays live when that is given.

        Args:
            x: input.
            temb: SiLU of the time embedding; None in a block that has none.
            taps: values by name.
            name: the layer it stands in.
        """

        def residual() -> Array:
            h = self.conv1(nnx.silu(self.norm1(x)))
            if temb is not None:
                h = h + self.time_emb_proj(temb)[:, None, None, :]
            return self.conv2(nnx.silu(self.norm2(h)))

        straight = self.conv_shortcut(x) if self.has_shortcut else x
        return straight + taps(f"{name}.resnet", residual)
