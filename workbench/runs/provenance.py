"""Where and with what a run was made. None of it is part of what the run is."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Git commit and dirty flag, packages, devices, command and machine of this process."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cores": os.cpu_count(),
        "devices": _devices(),
        **_git(),
        "packages": _packages(),
    }


def _devices() -> list[str]:
    """The devices of a JAX that is in use; asking would otherwise start one."""
    jax = sys.modules.get("jax")
    bridge = sys.modules.get("jax._src.xla_bridge")
    if jax is None or bridge is None or not bridge.backends_are_initialized():
        return []
    return [device.device_kind for device in jax.devices()]


@functools.cache
def _packages() -> dict[str, str]:
    return {found.name: found.version for found in metadata.distributions() if found.name}


def _git() -> dict[str, Any]:
    """Commit of the work folder, which is where a user's own functions are."""
    commit = _ask_git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(_ask_git("status", "--porcelain", "-uno"))}


def _ask_git(*words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *words], cwd=Path.cwd(), capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
