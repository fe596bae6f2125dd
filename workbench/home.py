"""The folders outside the project where anything is kept: caches, and the runs a user made."""

import os
import sys
from pathlib import Path

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
    """Where compiled JAX programs are kept between kernels (`jax_compilation_cache_dir`)."""
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(chosen) if chosen else home() / "compiled"


def _place(places: dict[str, tuple[str, str]]) -> Path:
    chosen = os.environ.get("WORKBENCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    variable, usual = places.get(sys.platform, places[""])
    return Path(os.environ.get(variable) or usual).expanduser() / APPLICATION
