"""Ternary models at two bits a weight: made of latent weights, and decoded from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from kernels_pallas import PackedTernary, pack_ternary, rms_norm_quantize, ternary_matmul
from workbench.language.bit_linear import BitLinear, ternary
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder, Embedding
from workbench.language.linear import RMSNorm
from workbench.model_files import keys
from workbench.model_files.abstract import abstract

Table = Literal["float32", "bfloat16", "int8"]
"""What the embedding is held in; it is not ternary."""


class Packed(nnx.Variable):
    """Weights that are read and not trained."""


class Codes(Packed):
    """Signs at two bits each."""


class PackedBitLinear(nnx.Module):
    """`BitLinear` whose matrix is held at two bits a weight; the same outputs, bit for bit.

    Args:
        packed: the signs.
        size: what one of them stands for, the mean of |W|.
        norm: of the layer.
        bias: of the layer, if it has one.
        dtype: of the outputs.
        index: which matrix it is, where `packed` is a stack of those of all layers.
    """

    def __init__(
        self,
        packed: PackedTernary,
        size: Float[Array, ""],
        norm: RMSNorm,
        bias: Float[Array, " M"] | None,
        *,
        dtype: Any,
        index: Int[Array, ""] | None = None,
    ):
        self.codes, self.size = Codes(packed.codes), Packed(size)
        self.norm = norm
        self.index = None if index is None else Packed(index)
        self.bias = None if bias is None else nnx.Param(bias)
        self.shape, self.layout, self.dtype = (packed.rows, packed.columns), packed.layout, dtype

    @property
    def packed(self) -> PackedTernary:
        """The signs."""
        return PackedTernary(self.codes[...], *self.shape, self.layout)

    def __call__(self, x: Float[Array, "... N"]) -> Float[Array, "... M"]:
        """The product, in `dtype`."""
        x = x.astype(self.dtype)
        rows = x.reshape(-1, x.shape[-1])
        codes, scale = rms_norm_quantize(rows, self.norm.scale[...], eps=self.norm.eps)
        index = None if self.index is None else self.index[...]
        y = ternary_matmul(codes, scale, self.packed, index=index) * self.size[...]
        y = y.astype(self.dtype)
        y = y.reshape(*x.shape[:-1], y.shape[-1])
        if self.bias is None:
            return y
        bias = self.bias[...].astype(self.dtype)
        return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


class Int8Embedding(nnx.Module):
    """A table of vectors as whole numbers from -127 to 127 with one scale a token.

    Args:
        values: int8 [vocab, width].
        scale: float32 [vocab].
    """

    def __init__(self, values: Int[Array, "V D"], scale: Float[Array, " V"]):
        self.values, self.scale = Packed(values), Packed(scale)

    def __call__(self, tokens: Int[Array, ...]) -> Float[Array, "... D"]:
        """The tokens' vectors."""
        return self.values[...][tokens].astype(jnp.float32) * self.scale[...][tokens][..., None]


def pack(model: Decoder, *, table: Table = "float32") -> Decoder:
    """The model with every ternary layer at two bits a weight; it shares its other weights.

    Args:
        model: with `linears="ternary"`.
        table: what the embedding is held in. "float32" leaves it, and the logits, as they are.

    Raises:
        ValueError: a model without ternary layers, or a table of another kind.

    Cost: memory of the packed weights, and of one matrix in int8.
    """
    if table not in ("float32", "bfloat16", "int8"):
        raise ValueError(f"table={table!r} is not known; needed float32, bfloat16 or int8")
    graph, state = nnx.split(model)
    packed: Decoder = nnx.merge(graph, state)
    layers = list(bit_linears(packed))
    if not layers:
        raise ValueError(f"linears={model.config.linears!r}: there is no ternary layer to pack")
    for path, layer in layers:
        put(packed, path, packed_layer(layer))
    stack: Any = packed.model
    stack.embeddings = _table(stack.embeddings, table)
    return packed


def packed_layer(layer: BitLinear) -> PackedBitLinear:
    """One layer at two bits a weight."""
    codes, size = packed_matrix(layer.kernel[...])
    bias = None if layer.bias is None else layer.bias[...]
    return PackedBitLinear(codes, size, layer.norm, bias, dtype=layer.dtype)


@jax.jit
def packed_matrix(kernel: Float[Array, "N M"]) -> tuple[PackedTernary, Float[Array, ""]]:
    """The signs of a latent matrix at two bits each, and what they stand for."""
    signs, size = ternary(kernel)
    packed = pack_ternary(signs)
    assert isinstance(packed, PackedTernary)
    return packed, size


def bit_linears(model: nnx.Module) -> Iterator[tuple[keys.Path, BitLinear]]:
    """Path and layer of every ternary layer that is not packed."""
    for path, node in list(nnx.iter_graph(model)):
        if isinstance(node, BitLinear):
            yield path, node


def put(model: nnx.Module, path: keys.Path, module: nnx.Module) -> None:
    """Puts a module where another is."""
    *before, last = path
    owner: Any = model
    for step in before:
        owner = owner[step] if isinstance(step, int) else getattr(owner, step)
    if isinstance(last, int):
        owner[last] = module
    else:
        setattr(owner, last, module)


def _table(embedding: Embedding, table: Table) -> Embedding | Int8Embedding:
    if table == "float32":
        return embedding
    values = embedding.embedding[...]
    if table == "bfloat16":
        embedding.embedding = nnx.Param(values.astype(jnp.bfloat16))
        return embedding
    return Int8Embedding(*int8_rows(values))


def int8_rows(
    table: Float[Array, "V D"],
) -> tuple[Int[Array, "V D"], Float[Array, " V"]]:
    """Whole numbers q and scales s of max |w - q s| <= s / 2, s = max |w| / 127 for each row."""
    scale = jnp.maximum(jnp.max(jnp.abs(table), axis=1), jnp.float32(1e-30)) / 127
    return jnp.round(table / scale[:, None]).astype(jnp.int8), scale


def weight_bytes(model: nnx.Module) -> dict[str, int]:
    """Bytes of a model's weights as they are held, of the embedding and of all else.

    Args:
        model: of arrays or of shapes.
    """
    found = {"embedding": 0, "body and head": 0}
    for path, leaf in jax.tree_util.tree_flatten_with_path(nnx.state(model))[0]:
        part = "embedding" if "embeddings" in keys.names(path) else "body and head"
        found[part] += int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
    return found


def abstract_packed(
    config: DecoderConfig, *, table: Table = "float32", dtype: Any = jnp.float32
) -> Decoder:
    """What `pack` makes of a model of this configuration, with shapes in place of weights."""

    def made(config: DecoderConfig, *, dtype: Any, rngs: Any) -> Decoder:
        return pack(Decoder(config, dtype=dtype, rngs=rngs), table=table)

    model: Decoder = abstract(made, config, dtype=dtype)
    return model
