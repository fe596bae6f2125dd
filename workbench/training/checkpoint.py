"""Checkpoints of a run's state: saved beside the running steps, kept only once complete."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from workbench.runs import StoreFull
from workbench.runs.disk import room_for
from workbench.training.state import State

STAGING = "staging-"
_FULL = ("No space left", "File too large", "Disk quota")


class Checkpoints:
    """The checkpoints of one run, `<folder>/<step>`, written with Orbax.

    A checkpoint is written to a staging folder and renamed into place under `guard`, so that a
    reader never sees half of one and a writer that lost its lease cannot add or remove any.

    Args:
        folder: where the checkpoints are.
        keep: how many of the newest are kept.
        guard: makes the context in which the folder may be changed; it raises when it may not.
        owner: a name for the staging folder, distinct for every writer.
    """

    def __init__(
        self,
        folder: Path,
        keep: int = 2,
        guard: Callable[[], AbstractContextManager[Any]] = nullcontext,
        owner: str = "0",
    ) -> None:
        self.folder = Path(folder).absolute()
        self.keep = keep
        self.guard = guard
        self.owner = owner
        self._checkpointer: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def steps(self) -> list[int]:
        """Steps that can be restored, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(child.name) for child in self.folder.iterdir() if child.name.isdigit())

    def save(self, state: State) -> None:
        """Starts saving `state`; returns once its arrays are copied from the device."""
        self.wait()
        step = int(state.step)
        if step in self.steps():
            return
        with self.guard():
            staging = self.folder / f"{STAGING}{self.owner}"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
        checkpointer = self._open()
        with _room_for(staging):
            checkpointer.save(staging / str(step), _named_leaves(state))
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending = self._thread.submit(self._commit, checkpointer, staging, step)

    def remove_leftovers(self) -> None:
        """Removes what killed writers left half done. Only for the one who may write."""
        for left in self.folder.glob(f"{STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)

    def wait(self) -> None:
        """Blocks until the save under way is in place, and raises what went wrong with it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def restore(self, like: State, step: int | None = None) -> State:
        """The state saved at `step` (the newest by default), placed like the arrays of `like`.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: the checkpoint holds other arrays than `like`.
        """
        steps = self.steps()
        if not steps or (step is not None and step not in steps):
            raise FileNotFoundError(f"{self.folder}: no checkpoint {step or ''}; there are {steps}")
        place = self.folder / str(steps[-1] if step is None else step)
        wanted = _named_leaves(like)
        checkpointer = self._open()
        saved = checkpointer.metadata(place).item_metadata
        _check_same(place, {name: saved[name] for name in saved}, wanted)
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in wanted.items()
        }
        return _from_named(checkpointer.restore(place, abstract), like)

    def close(self) -> None:
        """Waits for the last save and gives threads back."""
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
                self._thread = None
            if self._checkpointer is not None:
                checkpointer, self._checkpointer = self._checkpointer, None
                with _room_for(self.folder):  # it waits for writes of its own
                    checkpointer.close()

    def _open(self) -> Any:
        if self._checkpointer is None:
            import orbax.checkpoint

            self._checkpointer = orbax.checkpoint.StandardCheckpointer()
        return self._checkpointer

    def _commit(self, checkpointer: Any, staging: Path, step: int) -> None:
        with _room_for(staging):
            checkpointer.wait_until_finished()
        if jax.process_index() != 0:
            return
        with self.guard():
            (staging / str(step)).rename(self.folder / str(step))
            shutil.rmtree(staging, ignore_errors=True)
            for old in self.steps()[: -self.keep]:
                # Out of sight first: a reader must not find a folder that is being emptied.
                doomed = self.folder / f"{STAGING}old-{self.owner}"
                shutil.rmtree(doomed, ignore_errors=True)
                (self.folder / str(old)).rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)


@contextmanager
def _room_for(staging: Path) -> Iterator[None]:
    """Orbax tells of a full disk in several classes, and only in words."""
    try:
        with room_for(staging):
            yield
    except StoreFull:
        raise
    except Exception as error:
        if not any(word in str(error) for word in _FULL):
            raise
        with room_for(staging):
            raise OSError(errno.ENOSPC, "checkpoint") from error


def _named_leaves(state: State) -> dict[str, Any]:
    """A flat dict by path: the same file for dicts, NamedTuples, nnx states and dataclasses."""
    plain = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): _raw(leaf) for path, leaf in plain}


def _from_named(leaves: dict[str, Any], like: State) -> State:
    def take(path: Any, leaf: Any) -> Any:
        value = leaves[jax.tree_util.keystr(path)]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf))
        return value

    return jax.tree_util.tree_map_with_path(take, like)


def _raw(leaf: Any) -> Any:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _check_same(place: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    lost = sorted(wanted.keys() - saved.keys())
    extra = sorted(saved.keys() - wanted.keys())
    if lost or extra:
        raise ValueError(
            f"{place}: not a checkpoint of this run; lacks {lost[:3]}, has {extra[:3]}"
        )
    for name, leaf in wanted.items():
        if tuple(saved[name].shape) != tuple(leaf.shape):
            raise ValueError(
                f"{place}: {name} has shape {tuple(saved[name].shape)}; needs {tuple(leaf.shape)}"
            )
