"""`python -m workbench sweep`: a sweep without a notebook, and a look at one from anywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.progress import Cancelled
from workbench.runs import Busy, Store
from workbench.sweeps.executing import ExecutorLost
from workbench.sweeps.processes import Processes
from workbench.sweeps.study import WISHES, Study
from workbench.sweeps.sweeping import sweep


def run(
    function: str,
    grid: Path,
    study: str | None,
    *,
    together: Sequence[str] = (),
    processes: int | None = None,
    dask: str | None = None,
    resume: bool = True,
    store: Path | None = None,
) -> int:
    """Runs a sweep, or goes on with it.

    Args:
        function: `module:name`; the module is looked for in the current folder as well.
        grid: a JSON file with a mapping of axes, or a list of points.
        study: its name.
        together: settings done in one call.
        processes: at once on this machine.
        dask: address of a scheduler to use instead.
        resume: False does all anew.
        store: folder of the runs.

    Returns:
        0 when every run finished, 1 when some did not, 2 for what cannot be taken, 3 when stopped.
    """
    try:
        train = function_named(function)
        points = json.loads(grid.read_text(encoding="utf-8"))
        with _executor(processes, dask) as executor:
            found = sweep(
                train, points, executor=executor, study=study, together=together, resume=resume,
                store=Store(store),
            )  # fmt: skip
    except (OSError, TypeError, ValueError, Busy) as error:
        print(f"{grid}: {error}" if isinstance(error, json.JSONDecodeError) else error,
              file=sys.stderr)  # fmt: skip
        return 2
    except ExecutorLost as error:
        print(error, file=sys.stderr)
        return 1
    except (Cancelled, KeyboardInterrupt):
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 3
    print(_shown(found))
    progress = found.progress()
    if progress.stopped or progress.wish == "stop":
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 3
    return 0 if progress.finished == progress.total else 1


def look(study: str, wish: str | None = None, store: Path | None = None) -> int:
    """Prints a study's progress and table, or asks its jobs to go, pause or stop.

    Returns:
        0, or 2 where there is no such study.
    """
    try:
        found = Study(study, store)
        if not found.folder.is_dir():
            raise FileNotFoundError(f"study {study!r}: there is none in {found.store.folder}")
        if wish is not None:
            steering = {"go": found.go, "pause": found.pause, "stop": found.stop}
            steering[wish]()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(_shown(found))
    return 0


def command(
    function: str | None,
    grid: Path | None,
    study: str | None,
    *,
    pause: bool,
    go: bool,
    stop: bool,
    store: Path | None = None,
    **options: Any,
) -> int:
    """`run` where a function and a grid are given, else `look`; 2 where neither can be meant."""
    wishes = [name for name in WISHES if {"pause": pause, "go": go, "stop": stop}[name]]
    if function is not None and grid is not None and not wishes:
        return run(function, grid, study, store=store, **options)
    if function is None and grid is None and study is not None and len(wishes) < 2:
        return look(study, wishes[0] if wishes else None, store)
    print(
        "give a function and a grid to sweep, or --study alone to look, with one of --pause, --go "
        "and --stop to steer",
        file=sys.stderr,
    )
    return 2


def function_named(words: str) -> Callable[..., Any]:
    """The function of `module:name`.

    Raises:
        ValueError: there is none.
    """
    module, colon, name = words.partition(":")
    if not (module and colon and name):
        raise ValueError(f"function is {words!r}; write module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"function is {words!r}: {error}") from None
    if not hasattr(found, name):
        raise ValueError(f"function is {words!r}: {module} has no {name}")
    function: Callable[..., Any] = getattr(found, name)
    return function


@contextmanager
def _executor(processes: int | None, dask: str | None) -> Iterator[Executor | None]:
    if dask is None:
        with Processes(processes) as own:
            yield own
        return
    if processes is not None:
        raise ValueError("processes: a scheduler has workers of its own; give it or dask, not both")
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("dask: pip install 'efficiency-workbench[dask]' first") from None
    with Client(dask) as client:
        yield client.get_executor()


def _shown(study: Study) -> str:
    table = study.table()
    shown = table.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    return f"{shown}\n{study.name}: {study.progress()}"
