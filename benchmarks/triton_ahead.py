"""Compiles on every core what Triton tries when it tunes the peers' kernels, before they are timed.

Triton compiles a kernel's candidates one after the other: minutes, in which a rented GPU waits.
Here several processes take them in orders of their own and leave the code in Triton's cache. The
tuning itself, which measures, is left to the benchmark that follows.

python benchmarks/triton_ahead.py [--processes N] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import record  # noqa: F401  (finds the packages)
from kernels_gpu import NAMES, TASKS


def main() -> int:
    """Starts the processes and waits; 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.seed is not None:
        compile_all(asked.only, asked.seed)
        return 0
    began = time.monotonic()
    # The peers' own cache of tuned choices must not keep what nobody measured.
    environment = {**os.environ, "FLA_CACHE_RESULTS": "0", "TRITON_CACHE_AUTOTUNING": "0"}
    command = [sys.executable, __file__, "--only", *asked.only, "--seed"]
    children = [
        subprocess.Popen([*command, str(seed)], env=environment) for seed in range(asked.processes)
    ]
    failed = sum(child.wait() != 0 for child in children)
    print(f"{failed} of {len(children)} processes failed, after {time.monotonic() - began:.0f} s")
    return int(failed > 0)


def compile_all(names: list[str], seed: int) -> None:
    """Calls every peer once, without timing."""
    import torch
    from triton.runtime import autotuner

    trying(autotuner.Autotuner, random.Random(seed))
    for name in names:
        for task in TASKS[name](False):
            tensors = [torch.from_dlpack(array) for array in task.arrays(0)] if task.peers else []
            for peer in task.peers.values():
                peer(*tensors)
    torch.cuda.synchronize()


def trying(tuner: Any, order: random.Random) -> None:
    """Makes a class of tuners compile and run its candidates once, in any order, and choose any.

    Args:
        tuner: Triton's `Autotuner`.
        order: who decides.
    """
    pruned: Callable[..., Any] = tuner.prune_configs
    bench: Callable[..., Any] = tuner._bench

    def shuffled(self: Any, kwargs: Any) -> list[Any]:
        found = list(pruned(self, kwargs))
        order.shuffle(found)
        return found

    def once(self: Any, *args: Any, config: Any, **meta: Any) -> Any:
        def call(kernel: Callable[[], Any], quantiles: Any = None) -> list[float]:
            kernel()
            return [order.random()] * 3

        self.__dict__["do_bench"] = call
        return bench(self, *args, config=config, **meta)

    tuner.prune_configs, tuner._bench = shuffled, once


if __name__ == "__main__":
    sys.exit(main())
