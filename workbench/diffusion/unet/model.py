"""The conditional UNet of latent diffusion, as pure parts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from workbench.diffusion.unet.added import (
    AddedConditions,
    AddedEmbedding,
    Residuals,
)
from workbench.diffusion.unet.blocks import Block, DownBlock, MidBlock, UpBlock
from workbench.diffusion.unet.checks import (
    batch_size,
    check_added,
    check_inputs,
    check_residuals,
)
from workbench.diffusion.unet.config import UNetConfig
from workbench.diffusion.unet.layers import Conv, GroupNorm, TimeEmbedding
from workbench.diffusion.unet.program import OUTPUT, Node, Program, program
from workbench.diffusion.unet.taps import Taps
from workbench.diffusion.unet.transformer import Context, KeysValues


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
            config.time_width,
            freq_shift=config.freq_shift,
            flip_sin_to_cos=config.flip_sin_to_cos,
            **kind,
        )
        if config.projection_class_embeddings_input_dim is not None:
            self.add_embedding = AddedEmbedding(
                config.projection_class_embeddings_input_dim, config.time_width, **kind
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
        context: Context | None = None,
        *,
        added: AddedConditions | None = None,
        residuals: Residuals | None = None,
    ) -> Float[Array, "B H W O"]:
        """The prediction, float32.

        Args:
            x: noisy image or latent; height and width multiples of `config.stride`.
            t: timestep, () for all or (B,) one each.
            context: what attention reads; None only where no block has attention.
            added: SDXL's pooled prompt and sizes; None for a form that reads none.
            residuals: a ControlNet's, added to the skips and to the mid block's output.

        Raises:
            ValueError: shapes that do not fit the configuration.
        """
        return self.run(x, t, context, added=added, residuals=residuals)[OUTPUT]

    def encode(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Context | None = None,
        *,
        added: AddedConditions | None = None,
        residuals: Residuals | None = None,
    ) -> Features:
        """Down and mid blocks, residuals included: all the decoder needs besides conditions."""
        names = self.program.skips
        found = self.run(x, t, context, wanted=(*names, "mid"), added=added)
        features = Features(tuple(found[name] for name in names), found["mid"])
        if residuals is None:
            return features
        check_residuals(residuals, len(self.program.skips))
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), features, Features(*residuals))

    def decode(
        self,
        skips: Sequence[Float[Array, "B _ _ _"]],
        mid: Float[Array, "B h w E"],
        t: ArrayLike,
        context: Context | None = None,
        *,
        added: AddedConditions | None = None,
    ) -> Float[Array, "B H W O"]:
        """Up blocks and output; `decode(*encode(x, t, c), t, c)` is `unet(x, t, c)`."""
        given = self.given(Features(tuple(skips), mid))
        return self.run(None, t, context, given=given, added=added)[OUTPUT]

    def full(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Context | None,
        branch: int,
        *,
        added: AddedConditions | None = None,
        residuals: Residuals | None = None,
    ) -> tuple[Float[Array, "B H W O"], Array]:
        """The prediction and what `shallow` at the same branch takes as `cached`."""
        name = self.branch_name(branch)
        found = self.run(x, t, context, wanted=(OUTPUT, name), added=added, residuals=residuals)
        return found[OUTPUT], found[name]

    def shallow(
        self,
        x: Float[Array, "B H W C"],
        t: ArrayLike,
        context: Context | None,
        cached: Float[Array, "B h w E"],
        branch: int,
        *,
        added: AddedConditions | None = None,
        residuals: Residuals | None = None,
    ) -> Float[Array, "B H W O"]:
        """DeepCache's partial pass (Ma et al. 2024, section 3.2): outer layers live, inside cached.

        Args:
            x: noisy image or latent.
            t: timestep.
            context: what attention reads.
            cached: hidden state that enters the deepest up layer computed, from `full`.
            branch: 0 computes the outermost layer of each side; each further branch one layer more.
            added: SDXL's pooled prompt and sizes.
            residuals: a ControlNet's; those of skips that are not read change nothing.
        """
        given = {self.branch_name(branch): cached}
        return self.run(x, t, context, given=given, added=added, residuals=residuals)[OUTPUT]

    def run(
        self,
        x: Float[Array, "B H W C"] | None,
        t: ArrayLike,
        context: Context | None = None,
        *,
        wanted: Sequence[str] = (OUTPUT,),
        given: Mapping[str, Any] | None = None,
        added: AddedConditions | None = None,
        residuals: Residuals | None = None,
    ) -> dict[str, Any]:
        """Named values of one pass, some of them given; only what `wanted` depends on is computed.

        Args:
            x: noisy image or latent; None where everything that reads it is given.
            t: timestep.
            context: what attention reads, or the `text_keys_values` of it.
            wanted: names of blocks (`block_names`), layers (`layer_names`) or units (`unit_names`).
            given: values by the same names, used in place of computing them. A unit's value is its
                residual: the path around it stays live.
            added: SDXL's pooled prompt and sizes.
            residuals: a ControlNet's. Values by name are without them: the decoder adds them where
                it reads a skip or the mid block's output.

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
            batch = batch_size(x, values)
            check_inputs(self.config, x, context, batch, nodes)
            temb = self._time(t, batch, added)
            extra = self._extra(residuals)
            inner = jax.tree.map(lambda value: value.astype(self.dtype), context)
            hidden = {
                n: jnp.asarray(v).astype(self.dtype) for n, v in values.items() if n != OUTPUT
            }
            for node in nodes:
                # The scope tells profilers and `costs.node_costs` where an operation stands.
                with jax.named_scope(node.name):
                    hidden[node.name] = self._compute(node, x, hidden, extra, temb, inner, taps)
            values = {**values, **hidden}
        found = {**values, **taps.found}
        return {
            name: found[p] if isinstance(p, str) else tuple(found[n] for n in p)
            for name, p in places.items()
        }

    def text_keys_values(self, context: Float[Array, "B T D"]) -> dict[str, KeysValues]:
        """Every cross-attention's keys and values, which `run` takes in place of the context.

        They do not depend on the image or the step: computed once, they serve a whole run.
        """
        context = context.astype(self.dtype)
        blocks: dict[str, Block] = {f"down.{i}": b for i, b in enumerate(self.down_blocks)}
        blocks |= {"mid": self.mid_block} if self.config.mid_block_type is not None else {}
        blocks |= {f"up.{i}": b for i, b in enumerate(self.up_blocks)}
        found: dict[str, KeysValues] = {}
        for name, block in blocks.items():
            found |= block.keys_values(context, name)
        return found

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
    def encoder_outputs(self) -> tuple[str, ...]:
        """What the decoder reads of the encoder and the middle block, by the names `run` takes."""
        return (*self.program.skips, "mid")

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

    def _time(self, t: ArrayLike, batch: int, added: AddedConditions | None) -> Array:
        """SiLU of the time embedding and what is added to it, which every ResNet takes."""
        t = jnp.asarray(t).astype(jnp.float32)
        if t.shape not in ((), (batch,)):
            raise ValueError(f"t has shape {t.shape}; needed () or ({batch},)")
        temb = self.time_embedding(jnp.broadcast_to(t, (batch,)))
        config = self.config
        check_added(added, batch, config.pooled_width)
        if added is not None:
            temb = temb + self.add_embedding(
                added,
                config.addition_time_embed_dim or 0,
                freq_shift=config.freq_shift,
                flip_sin_to_cos=config.flip_sin_to_cos,
            )
        return nnx.silu(temb)

    def _extra(self, residuals: Residuals | None) -> dict[str, Array]:
        """Residuals by the name of the node they are added to."""
        if residuals is None:
            return {}
        check_residuals(residuals, len(self.program.skips))
        names = (*self.program.skips, self.program.mid)
        values = (*residuals.skips, residuals.mid)
        return {n: v.astype(self.dtype) for n, v in zip(names, values, strict=True)}

    def _compute(
        self,
        node: Node,
        x: Array | None,
        hidden: Mapping[str, Array],
        extra: Mapping[str, Array],
        temb: Array,
        context: Context | None,
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
                read = [hidden[n] + extra[n] if n in extra else hidden[n] for n in node.inputs]
                both = jnp.concatenate(read, axis=-1)
                out = up.layer(node.layer, both, temb, context, taps, node.name)
            case "upsample":
                out = self.up_blocks[node.block].upsamplers[0](inputs[0])
            case "conv_out":
                out = self.conv_out(nnx.silu(self.conv_norm_out(inputs[0]))).astype(jnp.float32)
        return out
