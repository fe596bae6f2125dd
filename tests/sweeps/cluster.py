"""A Dask scheduler and its workers on loopback, as processes that can be killed."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.sweeps.noted import until

ROOT = Path(__file__).parents[2]
PATIENCE = "3s"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(patience: str = PATIENCE) -> dict[str, str]:
    """Variables under which nothing waits longer than that for a scheduler that is gone."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": patience,
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s",
    }


class Cluster:
    """A scheduler and two workers, with one job each at a time."""

    def __init__(self, folder: Path, options: Sequence[str] = (), protocol: str = "tcp") -> None:
        self.folder = folder
        self.options = list(options)
        self.port = free_port()
        self.address = f"{protocol}://127.0.0.1:{self.port}"
        self.log = folder / "cluster.txt"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()
        self.workers = [self.start_worker(), self.start_worker()]

    def start_scheduler(self) -> None:
        """Puts a scheduler at the cluster's address."""
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        until(lambda: self._listens() or self.scheduler.poll() is not None, 60)
        if self.scheduler.poll() is not None:
            raise RuntimeError(self.log.read_text(encoding="utf-8")[-2000:])

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """A worker with one thread, without a nanny that would start another."""
        return self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.folder / "dask"),
        )  # fmt: skip

    def close(self) -> None:
        """Ends what is left."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "dask", *words, *self.options]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment(), stdout=log, stderr=log
            )

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def cluster(folder: Path, options: Sequence[str] = (), protocol: str = "tcp") -> Iterator[Cluster]:
    """A cluster for a while."""
    found = Cluster(folder, options, protocol)
    try:
        yield found
    finally:
        found.close()
