"""The conditional UNet of latent diffusion, as pure parts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from workbench.diffusion.unet.blocks import DownBlock, MidBlock, UpBlock
from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.layers import Conv, GroupNorm, TimeEmbedding
from workbench.diffusion.unet.program import OUTPUT, Node, Program, program
from workbench.diffusion.unet.taps import Taps


class Features(NamedTuple):
    """What the encoder hands to the decoder."""

    skips: tuple[Array, ...]
    """In order of pushing; the decoder takes the last first."""
    mid: Array


class UNet2DCondition(nnx.Module):
    """UNet with attention to a context (Rombach et al. 2022, section 3), NHWC, diffusers family.

    All methods are pure; jit them over `nnx.split(unet)` so that weights are arguments:

        graph, weights = nnx.split(unet)
        step = jax.jit(lambda weights, x, t, context: nnx.merge(graph, weights)(x, t, context))

    Args:
        config: shape.
        dtype: what products and convolutions run in; parameters, norms and softmax are float32.
        rngs: seeds of the initial weights.
    """

    def __init__(self, config: UNetConfig, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        widths = config.block_out_channels
        blocks = range(len(widths))
        self.config, self.dtype = config, jnp.dtype(dtype)
        kind: dict[str, Any] = {"dtype": self.dtype, "rngs": rngs}
        self.conv_in = Conv(config.in_channels, widths[0], 3, **kind)
        self.time_embedding = TimeEmbedding(
            widths[0],
            freq_shift=config.freq_shift,
            flip_sin_to_cos=config.flip_sin_to_cos,
            **kind,
        )
        self.down_blocks = nnx.List(DownBlock(config, i, **kind) for i in blocks)
        if config.mid_block_type is not None:
            self.mid_block = MidBlock(config, **kind)
        self.up_blocks = nnx.List(UpBlock(config, i, **kind) for i in blocks)
        self.conv_norm_out = GroupNorm(
            widths[0], config.norm_num_groups, eps=config.norm_eps, dtype=self.dtype
        )
        self.conv_out = Conv(widths[0], config.out_channels, 3, **kind)

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Float[Array, "B T D"] | None = None,
    ) -> Float[Array, "B H W O"]:
        """The prediction, float32.

        Args:
            x: noisy image or latent; height and width multiples of `config.stride`.
            t: timestep, () for all or (B,) one each.
            context: what attention reads; None only where no block has attention.

        Raises:
            ValueError: shapes that do not fit the configuration.
        """
        return self.run(x, t, context)[OUTPUT]

    def encode(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Float[Array, "B T D"] | None = None,
    ) -> Features:
        """Down blocks and mid block: everything the decoder needs besides t and context."""
        names = self.program.skips
        found = self.run(x, t, context, wanted=(*names, "mid"))
        return Features(tuple(found[name] for name in names), found["mid"])

    def decode(
        self,
        skips: Sequence[Float[Array, "B _ _ _"]],
        mid: Float[Array, "B h w E"],
        t: ArrayLike,
        context: Float[Array, "B T D"] | None = None,
    ) -> Float[Array, "B H W O"]:
        """Up blocks and output; `decode(*encode(x, t, c), t, c)` is `unet(x, t, c)`."""
        return self.run(None, t, context, given=self.given(Features(tuple(skips), mid)))[OUTPUT]

    def full(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Float[Array, "B T D"] | None,
        branch: int,
    ) -> tuple[Float[Array, "B H W O"], Array]:
        """The prediction and what `shallow` at the same branch takes as `cached`."""
        name = self.branch_name(branch)
        found = self.run(x, t, context, wanted=(OUTPUT, name))
        return found[OUTPUT], found[name]

    def shallow(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Float[Array, "B T D"] | None,
        cached: Float[Array, "B h w E"],
        branch: int,
    ) -> Float[Array, "B H W O"]:
        """DeepCache's partial pass (Ma et al. 2024, section 3.2): outer layers live, inside cached.

        Args:
            x: noisy image or latent.
            t: timestep.
            context: what attention reads.
            cached: hidden state that enters the deepest up layer computed, from `full`.
            branch: 0 computes the outermost layer of each side; each further branch one layer more.
        """
        return self.run(x, t, context, given={self.branch_name(branch): cached})[OUTPUT]

    def run(
        self,
        x: Float[Array, "B H W C"] | None,
        t: ArrayLike,
        context: Float[Array, "B T D"] | None = None,
        *,
        wanted: Sequence[str] = (OUTPUT,),
        given: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Named values of one pass, some of them given; only what `wanted` depends on is computed.

        Args:
            x: noisy image or latent; None where everything that reads it is given.
            t: timestep.
            context: what attention reads.
            wanted: names of blocks (`block_names`), layers (`layer_names`) or units (`unit_names`).
            given: values by the same names, used in place of computing them. A unit's value is its
                residual: the path around it stays live.

        Returns:
            One value per wanted name. A down block's is the tuple of all it pushes.

        Raises:
            ValueError: a name the model does not have, or shapes that do not fit.
        """
        steps = self.program
        values = self._spread(given or {})
        places = {name: steps.value_of(name) for name in wanted}
        targets = frozenset(n for p in places.values() for n in ((p,) if isinstance(p, str) else p))
        nodes = steps.live(targets, values)
        taps = Taps(values, targets)
        if nodes:
            batch = _batch(x, values)
            self._check(x, context, batch, nodes)
            temb = self._time(t, batch)
            inner = None if context is None else context.astype(self.dtype)
            hidden = {
                n: jnp.asarray(v).astype(self.dtype) for n, v in values.items() if n != OUTPUT
            }
            for node in nodes:
                hidden[node.name] = self._compute(node, x, hidden, temb, inner, taps)
            values = {**values, **hidden}
        found = {**values, **taps.found}
        return {
            name: found[p] if isinstance(p, str) else tuple(found[n] for n in p)
            for name, p in places.items()
        }

    def given(self, features: Features) -> dict[str, Array]:
        """The encoder's result under the names `run` takes."""
        names = self.program.skips
        if len(features.skips) != len(names):
            raise ValueError(
                f"features have {len(features.skips)} skips; this UNet has {len(names)}"
            )
        return {**dict(zip(names, features.skips, strict=True)), "mid": features.mid}

    @property
    def program(self) -> Program:
        """The nodes in execution order."""
        return program(self.config)

    @property
    def branches(self) -> int:
        """How many branches `shallow` has; the last caches only the mid block."""
        return len(self.program.up_layers)

    def branch_name(self, branch: int) -> str:
        """The node whose output `shallow` takes from the cache.

        Raises:
            ValueError: no such branch.
        """
        layers = self.program.up_layers
        if not 0 <= branch < len(layers):
            raise ValueError(
                f"branch={branch} does not exist; this UNet has 0 to {len(layers) - 1}"
            )
        deepest = layers[len(layers) - 1 - branch]
        return next(node.inputs[0] for node in self.program.nodes if node.name == deepest)

    def block_names(self) -> tuple[str, ...]:
        """`down.0` ..., `mid`, `up.0` ..., in execution order."""
        return tuple(self.program.blocks)

    def layer_names(self) -> tuple[str, ...]:
        """Every node: `conv_in`, `down.0.layer.0`, ..., `down.0.downsample`, ..., `conv_out`."""
        return tuple(node.name for node in self.program.nodes)

    def unit_names(self) -> tuple[str, ...]:
        """Every residual branch, such as `mid.layer.0.transformer.0.self_attention`."""
        return tuple(unit for node in self.program.nodes for unit in node.units)

    def _spread(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values by node and unit name: a block's value goes to the nodes it stands for."""
        values: dict[str, Any] = {}
        for name, value in given.items():
            place = self.program.value_of(name)
            if isinstance(place, str):
                values[place] = value
                continue
            if not isinstance(value, tuple | list) or len(value) != len(place):
                raise ValueError(
                    f"the value of {name!r} is a tuple of {len(place)}: {', '.join(place)}"
                )
            values |= dict(zip(place, value, strict=True))
        return values

    def _time(self, t: ArrayLike, batch: int) -> Array:
        """SiLU of the time embedding, which every ResNet takes."""
        t = jnp.asarray(t).astype(jnp.float32)
        if t.shape not in ((), (batch,)):
            raise ValueError(f"t has shape {t.shape}; needed () or ({batch},)")
        return nnx.silu(self.time_embedding(jnp.broadcast_to(t, (batch,))))

    def _compute(
        self,
        node: Node,
        x: Array | None,
        hidden: Mapping[str, Array],
        temb: Array,
        context: Array | None,
        taps: Taps,
    ) -> Array:
        """The value of one node."""
        inputs = [hidden[name] for name in node.inputs]
        match node.kind:
            case "conv_in":
                assert x is not None
                out = self.conv_in(x.astype(self.dtype))
            case "layer":
                block = self.down_blocks[node.block]
                out = block.layer(node.layer, inputs[0], temb, context, taps, node.name)
            case "downsample":
                out = self.down_blocks[node.block].downsamplers[0](inputs[0])
            case "same":
                out = inputs[0]
            case "mid_layer":
                out = self.mid_block.layer(node.layer, inputs[0], temb, context, taps, node.name)
            case "up_layer":
                up = self.up_blocks[node.block]
                both = jnp.concatenate(inputs, axis=-1)
                out = up.layer(node.layer, both, temb, context, taps, node.name)
            case "upsample":
                out = self.up_blocks[node.block].upsamplers[0](inputs[0])
            case "conv_out":
                out = self.conv_out(nnx.silu(self.conv_norm_out(inputs[0]))).astype(jnp.float32)
        return out

    def _check(
        self, x: Array | None, context: Array | None, batch: int, nodes: Iterable[Node]
    ) -> None:
        config = self.config
        if any(node.kind == "conv_in" for node in nodes):
            if x is None:
                raise ValueError(
                    "x is None, but the encoder's first layer must run for what is wanted"
                )
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
        if (
            context.ndim != 3
            or context.shape[0] != batch
            or context.shape[2] != config.cross_attention_dim
        ):
            raise ValueError(f"context has shape {context.shape}; needed {needed}")


def _batch(x: Array | None, values: Mapping[str, Any]) -> int:
    """Number of images: of x, else of what is given."""
    if x is not None:
        return x.shape[0]
    sizes = {jax.numpy.shape(v)[0] for v in values.values()}
    if len(sizes) != 1:
        raise ValueError(
            f"x is None, so the values given must agree on the batch; they have {sorted(sizes)}"
        )
    return sizes.pop()
