"""Which files make up a checkpoint: one file, a folder, a sharded set, a precision variant."""

import json
from dataclasses import dataclass
from pathlib import Path

from workbench.checkpoints.errors import CheckpointError
from workbench.checkpoints.header import PICKLE_SUFFIXES, refuse_pickle

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Layout:
    """The files of one checkpoint; `owner` maps tensor to shard, or is None for a single file."""

    files: tuple[Path, ...]
    owner: dict[str, Path] | None


def locate(path: str | Path, variant: str | None = None) -> Layout:
    """Find the safetensors files that `path` means.

    Args:
        path: a `.safetensors` file, its `.safetensors.index.json`, or a folder with one of them.
        variant: the infix of a precision variant, such as `"fp16"`, where a folder has several.

    Raises:
        CheckpointError: nothing there, several candidates, a pickle, or a broken index.
    """
    path = Path(path)
    if path.is_dir():
        path = _choose(path, variant)
    if path.suffix == ".json":
        return _read_index(path)
    index = path.with_name(path.name + ".index.json")
    if not path.exists() and index.exists():
        return _read_index(index)
    refuse_pickle(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if path.suffix != SUFFIX:
        raise CheckpointError(f"{path}: not a {SUFFIX} file")
    return Layout((path,), None)


def _is_index(name: str) -> bool:
    # Both orders are met in the wild: m.fp16.safetensors.index.json, m.safetensors.index.fp16.json
    return f"{SUFFIX}.index." in name and name.endswith(".json")


def _is_shard(name: str) -> bool:
    return name.endswith(SUFFIX) and "-of-" in name


def _variant_of(name: str) -> str:
    """`"fp16"` of `model.fp16.safetensors`, `""` of `model.safetensors`."""
    stem, _, tail = name.partition(SUFFIX)
    if tail.startswith(".index.") and tail != ".index.json":
        return tail.removeprefix(".index.").removesuffix(".json")
    return stem.partition(".")[2]


def variants(folder: str | Path) -> tuple[str, ...]:
    """Precision variants a folder holds, such as "fp16"; "" is the plain one."""
    names = [entry.name for entry in Path(folder).iterdir()]
    whole = (n for n in names if (n.endswith(SUFFIX) and not _is_shard(n)) or _is_index(n))
    return tuple(sorted({_variant_of(name) for name in whole}))


def _choose(folder: Path, variant: str | None) -> Path:
    names = sorted(entry.name for entry in folder.iterdir())
    whole = [name for name in names if name.endswith(SUFFIX) and not _is_shard(name)]
    # A single file stands before an index of the same name: see `writing` on replacing one by
    # the other.
    indexed = [n for n in names if _is_index(n) and n.removesuffix(".index.json") not in whole]
    candidates = whole + indexed
    if not candidates:
        raise CheckpointError(_nothing_found(folder, names))
    variants = sorted({_variant_of(name) for name in candidates})
    wanted = variant
    if wanted is None:
        wanted = "" if "" in variants else variants[0] if len(variants) == 1 else None
    chosen = [name for name in candidates if _variant_of(name) == wanted]
    if len(chosen) != 1:
        asked = "" if variant is None else f" of variant {variant!r}"
        raise CheckpointError(
            f"{folder}: expected one checkpoint{asked}, found {len(chosen)} among "
            f"{', '.join(candidates[:6])}; name the file, or the variant"
        )
    return folder / chosen[0]


def _nothing_found(folder: Path, names: list[str]) -> str:
    if any(map(_is_shard, names)):
        return f"{folder}: shards but no {SUFFIX}.index.json that says what is in them"
    pickles = [name for name in names if Path(name).suffix.lower() in PICKLE_SUFFIXES]
    if pickles:
        return (
            f"{folder}: only {', '.join(pickles[:3])} here: pickle files are not loaded; "
            "convert to safetensors"
        )
    return f"{folder}: no {SUFFIX} file here"


def _read_index(path: Path) -> Layout:
    try:
        table = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the index is not valid JSON ({error})") from error
    weight_map = table.get("weight_map") if isinstance(table, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(name, str) for name in weight_map.values())
    ):
        raise CheckpointError(f"{path}: the index has no weight_map from tensor to file")
    shards: dict[str, Path] = {}
    for name in sorted(set(weight_map.values())):
        if name in {"", ".", ".."} or any(mark in name for mark in ("/", "\\", "\0")):
            raise CheckpointError(
                f"{path}: shard {name!r} must be a plain file name beside the index"
            )
        shard = path.parent / name
        refuse_pickle(shard)
        if not shard.is_file():
            raise CheckpointError(
                f"{path}: shard {name} is missing; {len(set(weight_map.values()))} files are "
                "named in the index, download or copy them all"
            )
        shards[name] = shard
    return Layout(
        tuple(shards.values()), {tensor: shards[name] for tensor, name in weight_map.items()}
    )
