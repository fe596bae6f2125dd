"""Programs traced and lowered once: later processes read what was lowered, and compile that.

JAX keeps XLA's executables between processes under keys of the lowered program (`home`). To ask
for one, a process traces and lowers the function anew, which for a large network takes as long as
loading what is found. Here the lowered program itself is kept too, in the same folder, by
`jax.export`.

    <name>-<digest of what was asked for>.lowered = SHA-256(origin, program) | program

A program is asked for by its function, its static settings, and the tree, shapes and dtypes of its
arguments, under JAX's settings and for a device and processor. Its origin is the code that lowered
it: our sources, and the packages they trace with. A file of another origin, or a broken one, is not
read but written anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.extend.backend import backends

from kernels_pallas.dispatch import current_target
from kernels_pallas.processor import instructions
from workbench.atomic import replace_file

PACKAGES = ("kernels_pallas", "workbench")
"""Whose sources are part of an origin: a function of another package is not kept here."""

TRACED_WITH = ("flax", "jax", "jaxlib", "jaxtyping", "numpy")
SOURCES = (".py", ".json")
"""Code, and the measured times that forms are chosen by."""

SHIPPED = "_shipped"
FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
STORE = ("jax_compilation_cache", "jax_enable_compilation_cache", "jax_persistent_cache")
"""Settings of the folder itself, which change no program."""

DIGEST = hashlib.sha256().digest_size


def jit(
    function: Callable[..., Any],
    *,
    of: Any,
    static_argnums: int | tuple[int, ...] = (),
    compiler_options: dict[str, str] | None = None,
) -> Any:
    """`jax.jit` of a function that is traced only where no earlier process has lowered it.

    Args:
        function: of positional arguments, in one of `PACKAGES`; its results are trees of tuples,
            lists, dictionaries, and of named tuples registered with
            `jax.export.register_namedtuple_serialization`.
        of: all that the function depends on besides its arguments; told apart by its `repr`.
        static_argnums: as for `jax.jit`; told apart by their `repr`.
        compiler_options: as for `jax.jit`; they change nothing of what is lowered.

    Returns:
        What `jax.jit` returns, called as it is and with the same numbers. It has no gradient and no
        batched form, and no primitives can be counted in it. A function that JAX cannot export,
        such as one that calls back into Python, is traced in every process.

    Raises:
        ValueError: a function of another package; `of` or a static argument told by its address.
    """
    if function.__module__.partition(".")[0] not in PACKAGES:
        raise ValueError(
            f"{function.__qualname__} is of {function.__module__}; only the sources of "
            f"{' and '.join(PACKAGES)} are compared with what was kept"
        )
    static = (static_argnums,) if isinstance(static_argnums, int) else static_argnums

    @functools.wraps(function)
    def kept(*arguments: Any) -> Any:
        given = {i: value for i, value in enumerate(arguments) if i in static}
        traced = {i: value for i, value in enumerate(arguments) if i not in static}
        leaves, tree = jax.tree.flatten(traced)
        folder = store()
        if folder is None or not all(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return function(*arguments)

        def flat(*leaves: Any) -> Any:
            every = {**given, **jax.tree.unflatten(tree, leaves)}
            return function(*(every[i] for i in range(len(every))))

        flat.__name__ = function.__name__  # the program's
        types = [jax.typeof(leaf) for leaf in leaves]
        asked = digest(function, (of, given), (str(tree), types))
        file = folder / f"{function.__name__.strip('<>')}-{asked}.lowered"
        found = read(file) or written(file, flat, types)
        return function(*arguments) if found is None else found.call(*leaves)

    return jax.jit(kept, static_argnums=static, compiler_options=compiler_options)


def store() -> Path | None:
    """The folder of JAX's persistent cache; None where nothing is kept, or not on this machine.

    Nor is anything beside an accelerator: which of two platforms a program is lowered for depends
    on where its arguments lie, which tracing does not see.
    """
    config: Any = jax.config  # its settings are made at run time
    place = config.jax_compilation_cache_dir
    if not place or not config.jax_enable_compilation_cache or "://" in place:
        return None
    return Path(place) if set(backends()) == {"cpu"} else None


def digest(function: Callable[..., Any], settings: Any, arguments: Any) -> str:
    """What is asked for: all that decides the program besides its origin.

    Raises:
        ValueError: settings whose `repr` is an address, another in each process.
    """
    if " at 0x" in repr(settings):
        raise ValueError(f"{function.__qualname__}: {settings!r} does not say what it is")
    values = {k: repr(v) for k, v in jax.config.values.items() if not k.startswith(STORE)}
    asked = {
        "function": f"{function.__module__}.{function.__qualname__}",
        "settings": repr(settings),
        "arguments": repr(arguments),
        "jax": dict(sorted(values.items())),
        "flags": [os.environ.get(name, "") for name in FLAGS],
        "device": [repr(current_target()), repr(jax.sharding.get_abstract_mesh())],
        "processor": [platform.machine(), instructions()],
    }
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def read(file: Path) -> jax.export.Exported | None:
    """The program in a file; None where there is none, or one that is broken or of other code."""
    by = origin()
    with contextlib.suppress(OSError):
        content = file.read_bytes()
        head, program = content[:DIGEST], content[DIGEST:]
        if by is not None and hashlib.sha256(by + program).digest() == head:
            return jax.export.deserialize(bytearray(program))
    return None


def written(
    file: Path, function: Callable[..., Any], types: list[Any]
) -> jax.export.Exported | None:
    """The program traced and lowered now, and kept where the disk takes it.

    None where JAX cannot export it, or where files changed since this process read its code.
    """
    by = origin()
    if by is None:
        return None
    shapes = [jax.ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in types]
    try:
        found = jax.export.export(jax.jit(function))(*shapes)
        program = bytes(found.serialize())
    except (NotImplementedError, ValueError):  # and if it is the function's own, it comes again
        return None
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, [hashlib.sha256(by + program).digest(), program])
    return found


@functools.cache
def origin() -> bytes | None:
    """The code that lowers programs in this process; None where files were changed since it began.

    What is in memory may then be the files of before, or of after.
    """
    import psutil

    began = psutil.Process().create_time()
    found = hashlib.sha256()
    for package in TRACED_WITH:
        found.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for file in sources():
        if file.stat().st_mtime > began:
            return None
        content = file.read_bytes()
        found.update(f"{file.name} {len(content)}\n".encode())
        found.update(content)
    return found.digest()


def sources() -> Iterator[Path]:
    """Every file of ours that a program may depend on, in a fixed order."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for folder, folders, names in os.walk(Path(spec.origin).parent):
            folders[:] = sorted(name for name in folders if name != SHIPPED)
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(SOURCES))
