"""A model in its folder: `config.json` beside its weights, read and written alike."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workbench.checkpoints import (
    CheckpointError,
    match,
    open_tensors,
    remove_tensors,
    replace_text,
    require_finite,
    write_difference,
    write_tensors,
)
from workbench.checkpoints.quantizing import quantized
from workbench.model_files import keys
from workbench.model_files.abstract import abstract
from workbench.model_files.precision import (
    SHORT,
    Int8Kernel,
    Precision,
    precision,
    with_int8_kernels,
)

CONFIG = "config.json"


@dataclass(frozen=True)
class Part:
    """One kind of model in the layout of diffusers and transformers.

    Args:
        model: makes the model: `model(config, dtype=, rngs=)`, which keeps `config`.
        config: its configuration, with `from_file_fields` and `to_file_fields`; a class, or what
            stands for one where a configuration has several layouts.
        class_name: the format's name of the model; None where the configuration itself checks it.
        weights: name of the weights file.
        rename: the model's key for a file's, where files exist under other names; None for a
            tensor that is not a weight.
        written: the file's key for the model's, where they differ.
    """

    model: Callable[..., Any]
    config: Any
    class_name: str | None = None
    weights: str = "model.safetensors"
    rename: Callable[[str], str | None] = str
    written: Callable[[str], str] = str

    def load(self, folder: str | Path, *, dtype: Any, variant: str | None = None) -> Any:
        """Read a model.

        Args:
            folder: holds `config.json` and the weights, whole or sharded.
            dtype: "float32", "bfloat16" or "int8"; see `precision`.
            variant: a precision variant, such as "fp16", where the folder has several.

        Raises:
            CheckpointError: names the file, and the keys and shapes that are wrong.
            ValueError: a configuration this model does not have; names field and value.
        """
        folder = Path(folder)
        config = self.read_config(folder)
        tensors = open_tensors(folder, dtype=np.float32, variant=variant)
        try:
            return self.build(config, tensors, dtype=dtype)
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from error

    def build(self, config: Any, tensors: Mapping[str, Any], *, dtype: Any) -> Any:
        """A model of tensors under a file's names, of which one is in memory at a time.

        Raises:
            CheckpointError: names the keys and shapes that are wrong, or a tensor with NaN in it.
        """
        how = precision(dtype)
        model = abstract(self.model, config, dtype=how.compute)
        wanted = keys.file_shapes(model)
        found = keys.Renamed(tensors, self.rename, wanted)
        match(found.shapes, wanted)
        paths = [path for path, _ in keys.variables(model)]
        arrays: dict[keys.Path, jax.Array] = {}
        for path in paths:
            name = keys.key(path)
            tensor = found[name]
            require_finite({name: tensor})
            arrays |= _stored(path, keys.from_file(path, tensor), how)
        if how.name == "int8":
            with_int8_kernels(model)
        graph, state = nnx.split(model)
        leaves, tree = jax.tree_util.tree_flatten_with_path(state)
        values = [arrays.pop(keys.names(path)) for path, _ in leaves]
        return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, values))

    def abstract(self, config: Any, *, dtype: Any = jnp.float32) -> Any:
        """The model as `load` gives it, with shapes in place of weights."""
        how = precision(dtype)
        model = abstract(self.model, config, dtype=how.compute)
        if how.name == "float32":
            return model
        if how.name == "int8":
            with_int8_kernels(model)
        graph, state = nnx.split(model)
        leaves, tree = jax.tree_util.tree_flatten_with_path(state)
        values = [
            jax.ShapeDtypeStruct(leaf.shape, _stored_dtype(keys.names(path), leaf, how))
            for path, leaf in leaves
        ]
        return nnx.merge(graph, jax.tree_util.tree_unflatten(tree, values))

    def save(
        self,
        model: Any,
        folder: str | Path,
        *,
        metadata: Mapping[str, str] | None = None,
        shard_bytes: int | None = None,
        base: str | Path | None = None,
    ) -> Path:
        """Write a model so that its own library reads it too; int8 kernels become float32.

        Args:
            model: with its weights.
            folder: made where missing.
            metadata: text for the file's header.
            shard_bytes: spread the weights over files of at most this many bytes.
            base: folder of a model of the same form: the weights are kept as their difference from
                its, in one file that only `load` reads (`workbench.checkpoints.difference`).

        Returns:
            The weights file, or its index when sharded.

        Raises:
            CheckpointError: the disk refused; a base that is missing or of another form.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {self.written(name): tensor for name, tensor in file_tensors(model).items()}
        whole = folder / self.weights
        # A variant's name: the whole stands before it, and other libraries do not take it for one.
        difference = whole.with_name(f"{whole.stem}.difference{whole.suffix}")
        if base is None:
            notes = {"format": "pt", **(metadata or {})}
            written = write_tensors(whole, tensors, notes, shard_bytes)
            difference.unlink(missing_ok=True)
        elif shard_bytes is None:
            written = write_difference(difference, tensors, base, metadata)
            remove_tensors(whole)
        else:
            raise CheckpointError(f"shard_bytes={shard_bytes}: a difference is written in one file")
        fields = self.config.to_file_fields(model.config)
        replace_text(folder / CONFIG, json.dumps(fields, indent=2) + "\n")
        return written

    def read_config(self, folder: str | Path) -> Any:
        """Read the `config.json` of a model.

        Raises:
            ValueError: missing, not JSON, of another class, or with a field or value not supported.
        """
        file, fields = Path(folder) / CONFIG, read_fields(folder)
        name = fields.get("_class_name", self.class_name)
        if self.class_name is not None and name != self.class_name:
            raise ValueError(f"{file}: _class_name={name!r}; needed {self.class_name!r}")
        try:
            return self.config.from_file_fields(fields)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def read_fields(folder: str | Path) -> dict[str, Any]:
    """The fields of a model's `config.json`.

    Raises:
        ValueError: missing, not JSON, or no fields.
    """
    file = Path(folder) / CONFIG
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{file}: holds {type(fields).__name__}, needed an object of fields")
    return fields


def file_tensors(model: Any) -> dict[str, keys.Turned]:
    """Every tensor of a model as its file holds it; each is turned when it is read as an array.

    Raises:
        CheckpointError: a module of the model cannot be written; it says why in `unwritable`.
    """
    for _, node in nnx.iter_graph(model):
        if why := getattr(node, "unwritable", None):
            raise CheckpointError(str(why))
    whole = {path: node for path, node in nnx.iter_graph(model) if isinstance(node, Int8Kernel)}
    found: dict[str, keys.Turned] = {}
    for path, leaf in keys.variables(model):
        kernel = whole.get(path[:-1])
        owner = path if kernel is None else path[:-1]
        shape = tuple(leaf.shape if kernel is None else kernel.values.shape)
        dtype = leaf.dtype if kernel is None else np.float32
        value = leaf if kernel is None else kernel
        found[keys.key(owner)] = keys.Turned(value, shape, dtype, keys.file_axes(owner, len(shape)))
    return found


def _stored(path: keys.Path, array: np.ndarray, how: Precision) -> dict[keys.Path, jax.Array]:
    """A parameter's arrays by path: itself, or the two of an int8 kernel."""
    if how.name == "int8" and path[-1] == "kernel" and array.ndim != SHORT:
        values, scale = quantized(array)
        return {(*path, "values"): jnp.asarray(values), (*path, "scale"): jnp.asarray(scale)}
    # The device turns axes as it copies, in half the time numpy takes.
    return {path: jax.device_put(array.astype(_stored_dtype(path, array, how), copy=False))}


def _stored_dtype(path: keys.Path, array: Any, how: Precision) -> np.dtype:
    halved = {"bfloat16": ("kernel", "embedding"), "int8": ("embedding",)}
    half = path[-1] in halved.get(how.name, ()) and array.ndim != SHORT
    return np.dtype(jnp.bfloat16 if half else array.dtype)
