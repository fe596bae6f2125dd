"""A name for the weights in a folder or of a model, from their content."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

CHUNK = 1 << 22
SMALL = 1 << 16
"""Values of the largest tensor that names a model in memory."""


def hash_of_weights(place: Path) -> str:
    """Sixteen digits that name every weight in a model's folder, or in its one file.

    Weights kept as a difference are named by it and its base, whose hash it holds; with another
    base they are not read.

    Cost: one reading of the files; done again only where a file's size or date changed.
    """
    if place.is_file():
        files = {place.name: place}
    else:
        files = {f.relative_to(place).as_posix(): f for f in place.glob("*/*.safetensors")}
    stamps = []
    for name, file in sorted(files.items()):
        about = file.stat()
        stamps.append((name, str(file), about.st_size, about.st_mtime_ns))
    return _hash(tuple(stamps))


def hash_of_model(model: Any) -> str:
    """Sixteen digits that name a model in memory, by its configuration and its smaller tensors.

    Training changes every tensor, so that the large ones need not be read.
    """
    digest = hashlib.sha256(repr(model.config).encode())
    for leaf in jax.tree.leaves(nnx.split(model)[1]):
        if leaf.size <= SMALL:
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def hashing(place: Path) -> Future[str]:
    """`hash_of_weights` on a thread of its own, beside the reading of the same files."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="weights-hash")
    found = pool.submit(hash_of_weights, place)
    pool.shutdown(wait=False)
    return found


@lru_cache(maxsize=64)
def _hash(stamps: tuple[tuple[str, str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, file, _, _ in stamps:
        digest.update(name.encode())
        with Path(file).open("rb") as content:
            while chunk := content.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:16]
