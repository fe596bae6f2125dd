"""The 370M MatMul-free LM of random weights that `ternary_decode` decodes from, in each form."""

from __future__ import annotations

import zlib
from typing import Any


def matrix_shapes(layers: int, width: int, inner: int, vocab: int) -> dict[str, tuple[int, int]]:
    """[in, out] of every ternary matrix, by its place in the model."""
    found = {"lm_head": (width, vocab)}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        found |= {f"{name}.attn.{letter}_proj": (width, width) for letter in "ifgo"}
        found[f"{name}.mlp.gate_proj"] = (width, 2 * inner)
        found[f"{name}.mlp.down_proj"] = (inner, width)
    return found


def latent(name: str, shape: tuple[int, int]) -> Any:
    """Random weights of a matrix, the same for all sides."""
    import numpy as np

    draw = np.random.default_rng(zlib.crc32(name.encode()))
    return draw.standard_normal(shape, dtype=np.float32)


def rounded(weight: Any) -> tuple[Any, Any]:
    """-1, 0, 1 as float32, and what they stand for."""
    import jax.numpy as jnp
    import numpy as np

    from workbench.language.bit_linear import ternary

    signs, size = ternary(jnp.asarray(weight))
    return np.asarray(signs, np.float32), np.asarray(size)


def int8_table(vocab: int, width: int) -> Any:
    """The embedding as it is after it was held in int8, in float32."""
    import numpy as np

    from workbench.language.packed import int8_rows

    values, scale = int8_rows(latent("model.embeddings", (vocab, width)))
    return np.asarray(values, np.float32) * np.asarray(scale)[:, None]


def configuration(layers: int, width: int, inner: int, vocab: int) -> Any:
    """MatMul-free LM as released."""
    from workbench.language.config import DecoderConfig
    from workbench.language.mixers.mlgru import MLGRUConfig

    return DecoderConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        mixers=(MLGRUConfig(),),
        intermediate_size=inner,
        linears="ternary",
        tie_word_embeddings=False,
    )


def packed_model(layers: int, width: int, inner: int, vocab: int) -> Any:
    """The model at two bits a weight; one latent matrix at a time is in memory."""
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.packed import (
        Codes,
        Int8Embedding,
        Packed,
        PackedBitLinear,
        abstract_packed,
        int8_rows,
        packed_matrix,
    )

    model = abstract_packed(configuration(layers, width, inner, vocab), table="int8")
    for path, node in list(nnx.iter_graph(model)):
        if isinstance(node, PackedBitLinear):
            name = ".".join(map(str, path))
            packed, size = packed_matrix(jnp.asarray(latent(name, node.shape)))
            node.codes, node.size = Codes(packed.codes), Packed(size)
    model.model.embeddings = Int8Embedding(*int8_rows(latent("model.embeddings", (vocab, width))))
    return filled(model)


def dense_model(layers: int, width: int, inner: int, vocab: int, dtype: str) -> Any:
    """The model with the rounded matrices in float32, or one byte a weight."""
    import jax.numpy as jnp
    from flax import nnx

    from workbench.language.decoder import Decoder
    from workbench.language.packed import bit_linears, put
    from workbench.model_files.abstract import abstract

    model = abstract(Decoder, configuration(layers, width, inner, vocab), dtype=jnp.float32)
    for path, node in list(bit_linears(model)):
        name = ".".join(map(str, path))
        put(model, path, dense_linear(*rounded(latent(name, node.kernel.shape)), node.norm, dtype))
    model.model.embeddings.embedding = nnx.Param(jnp.asarray(int8_table(vocab, width)))
    return filled(model)


def dense_linear(signs: Any, size: Any, norm: Any, dtype: str) -> Any:
    """A ternary layer with its rounded matrix in float32 or int8."""
    import jax.numpy as jnp
    from flax import nnx

    from kernels_pallas.ternary.xla import int8_matmul

    class Dense(nnx.Module):
        def __init__(self) -> None:
            self.kernel, self.size = nnx.Param(jnp.asarray(signs, dtype)), nnx.Param(size)
            self.norm = norm

        def __call__(self, x: Any) -> Any:
            y = self.norm(x)
            top = jnp.maximum(jnp.max(jnp.abs(y), axis=-1, keepdims=True), 1e-5)
            codes, kernel = jnp.round(y * (127 / top)), self.kernel[...]
            if dtype == "int8":
                product = int8_matmul(codes.astype(jnp.int8), kernel).astype(jnp.float32)
            else:
                product = codes @ kernel
            return product * (top / 127) * self.size[...]

    return Dense()


def filled(model: Any) -> Any:
    """The model with gains of one and bounds as they are first, where it has shapes only."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graph, state = nnx.split(model)
    leaves, tree = jax.tree_util.tree_flatten_with_path(state)

    def value(path: Any, leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        make = jnp.zeros if "lower_bounds" in str(path) else jnp.ones
        return make(leaf.shape, leaf.dtype)

    found = [value(path, leaf) for path, leaf in leaves]
    return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, found))
