"""Ternary models at two bits a weight: made of latent weights, decoded from, and as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from kernels_pallas import PackedTernary, pack_ternary, rms_norm_quantize, ternary_matmul
from kernels_pallas.ternary import Base3Ternary, unpack_ternary
from workbench.checkpoints import CheckpointError, match, open_tensors, replace_text, write_tensors
from workbench.language.bit_linear import BitLinear, ternary
from workbench.language.config import DecoderConfig
from workbench.language.decoder import Decoder, Embedding
from workbench.language.linear import RMSNorm
from workbench.model_files import keys
from workbench.model_files.abstract import abstract
from workbench.model_files.part import CONFIG, read_fields

MODEL_TYPE = "workbench-decoder-packed"
WEIGHTS = "model.safetensors"
Table = Literal["float32", "bfloat16", "int8"]
"""What the embedding is held in; it is not ternary."""
Storage = Literal["two_bit", "base3"]
"""Bits a weight on disk: 2, as in memory, or 1.6, which reading unpacks and packs anew."""


class Packed(nnx.Variable):
    """Weights that are read and not trained."""


class PackedBitLinear(nnx.Module):
    """`BitLinear` whose matrix is held at two bits a weight; the same outputs, bit for bit.

    Args:
        packed: the signs.
        size: what one of them stands for, the mean of |W|.
        norm: of the layer.
        bias: of the layer, if it has one.
        dtype: of the outputs.
    """

    def __init__(
        self,
        packed: PackedTernary,
        size: Float[Array, ""],
        norm: RMSNorm,
        bias: Float[Array, " M"] | None,
        *,
        dtype: Any,
    ):
        self.codes, self.size = Packed(packed.codes), Packed(size)
        self.norm = norm
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
        y = (ternary_matmul(codes, scale, self.packed) * self.size[...]).astype(self.dtype)
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
    packed.model.embeddings = _table(packed.model.embeddings, table)
    return packed


def packed_layer(layer: BitLinear) -> PackedBitLinear:
    """One layer at two bits a weight."""
    codes, size = _packed_matrix(layer.kernel[...])
    bias = None if layer.bias is None else layer.bias[...]
    return PackedBitLinear(codes, size, layer.norm, bias, dtype=layer.dtype)


@jax.jit
def _packed_matrix(kernel: Float[Array, "N M"]) -> tuple[PackedTernary, Float[Array, ""]]:
    signs, size = ternary(kernel)
    return pack_ternary(signs), size


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
    setattr(owner, last, module)


def _table(embedding: Embedding, table: Table) -> Embedding | Int8Embedding:
    if table == "float32":
        return embedding
    values = embedding.embedding[...]
    if table == "bfloat16":
        embedding.embedding = nnx.Param(values.astype(jnp.bfloat16))
        return embedding
    scale = jnp.maximum(jnp.max(jnp.abs(values), axis=1), jnp.float32(1e-30)) / 127
    return Int8Embedding(jnp.round(values / scale[:, None]).astype(jnp.int8), scale)


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


def save_packed(model: Decoder, folder: str | Path, *, storage: Storage = "two_bit") -> Path:
    """Writes a packed model: its configuration, and its weights as they are held.

    Args:
        model: from `pack`.
        folder: made where missing.
        storage: "base3" writes five weights a byte, 1.6 bits each.

    Returns:
        The weights file.

    Raises:
        ValueError: a model that is not packed, or a storage there is not.
        CheckpointError: the disk refused.
    """
    if storage not in ("two_bit", "base3"):
        raise ValueError(f"storage={storage!r} is not known; needed two_bit or base3")
    layers = {path: node for path, node in nnx.iter_graph(model) if _is_packed(node)}
    if not layers:
        raise ValueError("this model is not packed: pack(model) makes one that is")
    tensors = dict(_tensors(model))
    if storage == "base3":
        for path, layer in layers.items():
            tensors[keys.key((*path, "codes"))] = _base3(layer.packed).digits
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = write_tensors(folder / WEIGHTS, tensors)
    fields = {
        "model_type": MODEL_TYPE,
        "storage": storage,
        "table": _table_of(model),
        "dtype": jnp.dtype(model.dtype).name,
        "decoder": model.config.record(),
    }
    replace_text(folder / CONFIG, json.dumps(fields, indent=2) + "\n")
    return written


def load_packed(folder: str | Path) -> Decoder:
    """Reads what `save_packed` wrote.

    Raises:
        CheckpointError: names the file, and the keys and shapes that are wrong.
        ValueError: a configuration of another kind.
    """
    folder = Path(folder)
    fields = read_fields(folder)
    if fields.get("model_type") != MODEL_TYPE:
        raise ValueError(
            f"{folder / CONFIG}: model_type={fields.get('model_type')!r}; needed {MODEL_TYPE!r}"
        )
    config = DecoderConfig.model_validate(fields["decoder"])
    model = abstract_packed(config, table=fields["table"], dtype=jnp.dtype(fields["dtype"]))
    tensors = open_tensors(folder / WEIGHTS)
    wanted = {name: tuple(leaf.shape) for name, leaf in _tensors(model)}
    layers = {path: node for path, node in nnx.iter_graph(model) if _is_packed(node)}
    matrices = {keys.key((*path, "codes")): layer.shape for path, layer in layers.items()}
    if fields["storage"] == "base3":
        wanted |= {name: (-(-rows // 5), columns) for name, (rows, columns) in matrices.items()}
    try:
        match(tensors.shapes, wanted)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    graph, state = nnx.split(model)
    leaves, tree = jax.tree_util.tree_flatten_with_path(state)
    values = []
    for path, _ in leaves:
        name = keys.key(keys.names(path))
        value = jnp.asarray(tensors[name])
        if fields["storage"] == "base3" and name in matrices:
            value = _repacked(Base3Ternary(value, *matrices[name]))
        values.append(value)
    loaded: Decoder = nnx.merge(graph, jax.tree_util.tree_unflatten(tree, values))
    return loaded


def abstract_packed(
    config: DecoderConfig, *, table: Table = "float32", dtype: Any = jnp.float32
) -> Decoder:
    """What `pack` makes of a model of this configuration, with shapes in place of weights."""

    def made(config: DecoderConfig, *, dtype: Any, rngs: Any) -> Decoder:
        return pack(Decoder(config, dtype=dtype, rngs=rngs), table=table)

    model: Decoder = abstract(made, config, dtype=dtype)
    return model


def _is_packed(node: Any) -> bool:
    return isinstance(node, PackedBitLinear)


def _tensors(model: nnx.Module) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(nnx.state(model))[0]:
        yield keys.key(keys.names(path)), leaf


def _table_of(model: Decoder) -> str:
    table = model.model.embeddings
    if isinstance(table, Int8Embedding):
        return "int8"
    return jnp.dtype(table.embedding[...].dtype).name


@jax.jit
def _base3(packed: PackedTernary) -> Base3Ternary:
    return pack_ternary(unpack_ternary(packed), storage="base3")


@jax.jit
def _repacked(stored: Base3Ternary) -> Array:
    return pack_ternary(unpack_ternary(stored)).codes
