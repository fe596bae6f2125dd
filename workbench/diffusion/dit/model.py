"""The diffusion transformer of Peebles & Xie (2023), class-conditional, as pure parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from workbench.diffusion.dit.blocks import DiTBlock, PatchEmbedding, normalised
from workbench.diffusion.dit.config import DiTConfig
from workbench.diffusion.dit.program import PATCHES, encoder_blocks, program
from workbench.diffusion.unet.layers import dense
from workbench.diffusion.unet.program import OUTPUT, Program
from workbench.diffusion.unet.taps import Taps


class DiT(nnx.Module):
    """Transformer over patches of a latent, NHWC, in the layout of `DiTTransformer2DModel`.

    Every block keeps a table of classes and a timestep embedder of its own, as the format does.
    Values inside are named like a UNet's: `block.0` ..., and the units `block.0.attention` and
    `block.0.feed_forward` before their gates.

    Args:
        config: shape.
        dtype: what products run in; parameters, norms and softmax are float32.
        rngs: seeds of the initial weights.
    """

    def __init__(self, config: DiTConfig, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        self.config, self.dtype = config, jnp.dtype(dtype)
        kind: dict[str, Any] = {"dtype": self.dtype, "rngs": rngs}
        self.pos_embed = PatchEmbedding(config, **kind)
        self.transformer_blocks = nnx.List(
            DiTBlock(config, **kind) for _ in range(config.num_layers)
        )
        self.proj_out_1 = dense(config.width, 2 * config.width, **kind)
        outputs = config.patch_size**2 * config.out_channels
        self.proj_out_2 = dense(config.width, outputs, **kind)

    def __call__(
        self, x: Float[Array, "B H W C"], t: ArrayLike, labels: Int[Array, " B"]
    ) -> Float[Array, "B H W O"]:
        """The prediction, float32: noise, then the variance where the model predicts it.

        Args:
            x: noisy latent; height and width multiples of the patch.
            t: timestep, () for all or (B,) one each.
            labels: class of each; `config.num_embeds_ada_norm` means "no class".

        Raises:
            ValueError: shapes that do not fit the configuration.
        """
        return self.run(x, t, labels)[OUTPUT]

    def encode(
        self, x: Float[Array, "B H W C"], t: ArrayLike, labels: Int[Array, " B"]
    ) -> Float[Array, "B T D"]:
        """The hidden state after the blocks that play the encoder."""
        (name,) = self.encoder_outputs
        return self.run(x, t, labels, wanted=(name,))[name]

    def decode(
        self, hidden: Float[Array, "B T D"], t: ArrayLike, labels: Int[Array, " B"]
    ) -> Float[Array, "B H W O"]:
        """The other blocks and the output; `decode(encode(x, t, c), t, c)` is `dit(x, t, c)`."""
        (name,) = self.encoder_outputs
        return self.run(None, t, labels, given={name: hidden})[OUTPUT]

    def run(
        self,
        x: Float[Array, "B H W C"] | None,
        t: ArrayLike,
        context: Any = None,
        *,
        wanted: Sequence[str] = (OUTPUT,),
        given: Mapping[str, Any] | None = None,
        added: None = None,
    ) -> dict[str, Any]:
        """Named values of one pass, some of them given; only what `wanted` depends on is computed.

        Args:
            x: noisy latent; None where everything that reads it is given. The prediction is then
                square, as the configuration's samples are.
            t: timestep.
            context: labels.
            wanted: names of blocks (`block_names`) or units (`unit_names`).
            given: values by the same names, used in place of computing them.
            added: None; it stands where other models take further conditions.

        Raises:
            ValueError: a name the model does not have, or shapes that do not fit.
        """
        given, targets = dict(given or {}), frozenset(wanted)
        for name in (*wanted, *given):
            self.program.value_of(name)
        nodes = self.program.live(targets, given)
        taps = Taps(given, targets)
        hidden = {n: jnp.asarray(v).astype(self.dtype) for n, v in given.items() if n != OUTPUT}
        if nodes:
            batch = next(iter(hidden.values())).shape[0] if x is None else x.shape[0]
            self._check(x, context, batch, nodes[0].name)
            assert context is not None
            t = self._times(t, batch)
            for node in nodes:
                with jax.named_scope(node.name):
                    if node.name == PATCHES:
                        assert x is not None
                        hidden[node.name] = self.pos_embed(x.astype(self.dtype))
                    elif node.name == OUTPUT:
                        last = hidden[node.inputs[0]]
                        hidden[node.name] = self._output(last, t, context, x)
                    else:
                        block = self.transformer_blocks[node.block]
                        before = hidden[node.inputs[0]]
                        hidden[node.name] = block(before, t, context, taps, node.name)
        found = {**given, **hidden, **taps.found}
        return {name: found[name] for name in wanted}

    def text_keys_values(self, context: Int[Array, " B"]) -> Int[Array, " B"]:
        """Labels as they are: nothing attends to a class."""
        return context

    @property
    def program(self) -> Program:
        """The nodes in execution order."""
        return program(self.config)

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        """What the decoder reads of the encoder: the last of its blocks."""
        return (f"block.{encoder_blocks(self.config) - 1}",)

    @property
    def branches(self) -> int:
        """None: without skips there is no shallow path."""
        return 0

    def branch_name(self, branch: int) -> str:
        """Refuses: a transformer has no skips.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"branch={branch} does not exist: a diffusion transformer has no skip connections"
        )

    def block_names(self) -> tuple[str, ...]:
        """`block.0`, `block.1`, ..., in execution order."""
        return tuple(self.program.blocks)

    def layer_names(self) -> tuple[str, ...]:
        """Every node: `patches`, the blocks, `conv_out`, which is the prediction."""
        return tuple(node.name for node in self.program.nodes)

    def unit_names(self) -> tuple[str, ...]:
        """`block.0.attention`, `block.0.feed_forward`, ..."""
        return tuple(unit for node in self.program.nodes for unit in node.units)

    def _times(self, t: ArrayLike, batch: int) -> Float[Array, " B"]:
        t = jnp.asarray(t).astype(jnp.float32)
        if t.shape not in ((), (batch,)):
            raise ValueError(f"t has shape {t.shape}; needed () or ({batch},)")
        return jnp.broadcast_to(t, (batch,))

    def _check(self, x: Array | None, labels: Any, batch: int, first: str) -> None:
        config = self.config
        if x is None and first == PATCHES:
            raise ValueError("x is None, but the patches read it; give a block's value or x")
        if x is not None:
            height, width, channels = x.shape[1:]
            if channels != config.in_channels:
                raise ValueError(f"x has {channels} channels; in_channels={config.in_channels}")
            if height % config.patch_size or width % config.patch_size:
                raise ValueError(
                    f"x is {height} x {width}; both must be multiples of the patch,"
                    f" {config.patch_size}"
                )
        if labels is None or jnp.shape(labels) != (batch,):
            shape = None if labels is None else jnp.shape(labels)
            raise ValueError(f"labels have shape {shape}; needed ({batch},)")

    def _output(
        self, h: Array, t: Array, labels: Array, x: Float[Array, "B H W C"] | None
    ) -> Float[Array, "B H W O"]:
        """Adaptive norm by the first block's conditions, projection, and patches laid out."""
        conditions = nnx.silu(self.transformer_blocks[0].norm1.emb(t, labels))
        shift, scale = jnp.split(self.proj_out_1(conditions)[:, None, :], 2, axis=-1)
        values = self.proj_out_2(normalised(h, 1e-6, self.dtype) * (1 + scale) + shift)
        size, outputs = self.config.patch_size, self.config.out_channels
        rows = columns = round(values.shape[1] ** 0.5)
        if x is not None:
            rows, columns = x.shape[1] // size, x.shape[2] // size
        patches = values.reshape(-1, rows, columns, size, size, outputs)
        picture = patches.transpose(0, 1, 3, 2, 4, 5)
        return picture.reshape(-1, rows * size, columns * size, outputs).astype(jnp.float32)
