"""What the commands that record this lab's measurements share: threads, words, and the card."""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.vision.latency import Clock


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The argument that `kept_to` reads."""
    parser.add_argument("--threads", choices=("all", "one"), default="all")


def kept_to(threads: str) -> Clock:
    """Keeps the process to one core where that is asked for; before jax counts the cores.

    Args:
        threads: "all" or "one".

    Returns:
        The clock that fits: the processor's own time on one core, the wall's on all.
    """
    if threads == "one" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return "processor" if threads == "one" else "wall"


def typed(module: str, arguments: Sequence[str] | None = None) -> str:
    """The command as it was typed; of a folder named from the root, its own name alone.

    Args:
        module: that was run.
        arguments: of it; those of this process where None.
    """
    given = sys.argv[1:] if arguments is None else arguments
    words = [Path(word).name if Path(word).is_absolute() else word for word in given]
    return shlex.join(["python", "-m", module, *words])


def card(command: str) -> dict[str, Any]:
    """When, where and how something was measured.

    Args:
        command: see `typed`.
    """
    from workbench.measure import device

    return {
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "processor": device.processor_name(),
        "command": command,
    }
