"""The folders outside the project where anything is kept: caches, and the runs a user made."""

import os
import sys
from pathlib import Path
from typing import Any

APPLICATION = "efficiency-workbench"

# Per system: the variable that moves the place, and where it is without it.
CACHES = {
    "win32": ("LOCALAPPDATA", "~/AppData/Local"),
    "darwin": ("", "~/Library/Caches"),
    "": ("XDG_CACHE_HOME", "~/.cache"),
}
DATA = {
    "win32": ("LOCALAPPDATA", "~/AppData/Local"),
    "darwin": ("", "~/Library/Application Support"),
    "": ("XDG_DATA_HOME", "~/.local/share"),
}


def home() -> Path:
    """``$WORKBENCH_HOME``, else this system's own place for a user's caches. Not created here."""
    return _place(CACHES)


def data() -> Path:
    """``$WORKBENCH_HOME``, else this system's own place for a user's data. Not created here."""
    return _place(DATA)


def compile_cache() -> Path:
    """Where programs are kept between processes: compiled ones, and lowered (`lowered_once`)."""
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(chosen) if chosen else home() / "compiled"


def keep_compiled() -> None:
    """Programs that JAX compiles from here on serve later processes too; the user's choice stays.

    Memory that compiling them frees goes back to the system (`heap`). Called before anything large
    is compiled, and not at import.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    from workbench.heap import trim_after_compiling

    trim_after_compiling()
    config: Any = jax.config  # its settings are made at run time
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    config.update("jax_compilation_cache_dir", str(compile_cache()))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    compilation_cache.reset_cache()  # JAX asks for the folder once, when it first compiles


def _place(places: dict[str, tuple[str, str]]) -> Path:
    chosen = os.environ.get("WORKBENCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    variable, usual = places.get(sys.platform, places[""])
    return Path(os.environ.get(variable) or usual).expanduser() / APPLICATION
