"""The one folder outside the project where anything is kept: caches, and what a launch needs."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """``$WORKBENCH_HOME``, else this system's own place for a user's caches. Not created here."""
    chosen = os.environ.get("WORKBENCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        caches = Path("~/Library/Caches")
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return caches.expanduser() / "efficiency-workbench"


def compile_cache() -> Path:
    """Where compiled JAX programs are kept between kernels (`jax_compilation_cache_dir`)."""
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(chosen) if chosen else home() / "compiled"
