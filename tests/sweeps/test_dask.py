"""Sweeps over two Dask workers on loopback, any part of which is killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sweeps.cluster import PATIENCE, Cluster, cluster, environment
from tests.sweeps.noted import did, each_once, quiet_afterwards, quietly, slow, until
from workbench.runs import Store
from workbench.sweeps import Study
from workbench.sweeps.executing import submitted
from workbench.sweeps.order import Order

if TYPE_CHECKING:
    from distributed import Client

pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(240)]

RUNS = 12
DRIVER = """
import sys, warnings
from pathlib import Path
from distributed import Client
from distributed.security import Security
from tests.sweeps.noted import quietly, slow
from workbench.runs import Store
from workbench.sweeps import ExecutorLost
folder, address, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
security = None
if address.startswith("tls"):
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    security = Security(
        tls_ca_file=cert, tls_client_cert=cert, tls_client_key=key, require_encryption=True
    )
grid = {"folder": str(folder), "n": list(range(1, number + 1)), "pause": 0.05}
with Client(address, security=security) as client:
    try:
        study = quietly(slow, grid, store=Store(folder / "store"), executor=client.get_executor())
        print(study.progress())
    except ExecutorLost as error:
        print("lost:", error)
"""


@contextmanager
def drive(
    cluster: Cluster, number: int = RUNS, patience: str = PATIENCE
) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", DRIVER, str(cluster.folder), cluster.address, str(number)]
    with (
        (cluster.folder / "driver.txt").open("ab") as log,
        subprocess.Popen(
            command, env=environment(patience), stdout=subprocess.PIPE, stderr=log, text=True
        ) as driver,
    ):
        try:
            yield driver
        finally:
            driver.kill()


def study(folder: Path) -> Study:
    return Study("slow", Store(folder / "store"))


def in_the_midst(folder: Path) -> None:
    """Waits until some have finished and others run."""
    until(lambda: len(did(folder)) >= 3 and study(folder).progress().running, 60)


def last_words(cluster: Cluster, driver: "subprocess.Popen[str]", seconds: float = 120) -> str:
    """What a driver printed, once it has ended."""
    with suppress(subprocess.TimeoutExpired):
        return driver.communicate(timeout=seconds)[0]
    raise AssertionError(f"the driver did not end in {seconds} s\n{logs(cluster)}")


def logs(cluster: Cluster) -> str:
    """What driver, scheduler and workers wrote last."""
    files = (cluster.folder / "driver.txt", cluster.log)
    return "\n".join(f"{file.name}:\n{file.read_text('utf-8')[-4000:]}" for file in files)


def finishes(cluster: Cluster) -> None:
    with drive(cluster) as driver:
        out = last_words(cluster, driver)
    assert out == f"{RUNS} of {RUNS} finished\n", logs(cluster)


def test_a_killed_worker(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts, drive(parts) as driver:
        in_the_midst(tmp_path)
        parts.workers[0].kill()
        out = last_words(parts, driver)
        assert out == f"{RUNS} of {RUNS} finished\n"
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)
        quiet_afterwards(tmp_path)


def test_a_killed_driver(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts:
        with drive(parts) as driver:
            in_the_midst(tmp_path)
            driver.kill()
        quiet_afterwards(tmp_path)
        progress = study(tmp_path).progress()
        assert 3 <= progress.finished < RUNS and progress.running == 0 and not progress.driven
        finishes(parts)
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)
        quiet_afterwards(tmp_path)


def test_a_killed_scheduler(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts:
        with drive(parts) as driver:
            in_the_midst(tmp_path)
            parts.scheduler.kill()
            out = last_words(parts, driver)
        assert out.startswith("lost: the executor takes no more jobs"), out
        quiet_afterwards(tmp_path)
        assert 3 <= study(tmp_path).progress().finished < RUNS
        parts.scheduler.wait()
        parts.start_scheduler()
        parts.workers += [parts.start_worker(), parts.start_worker()]
        finishes(parts)
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)
        quiet_afterwards(tmp_path)


def test_a_scheduler_that_comes_back(tmp_path: Path) -> None:
    """What waited is given to it again, within the same sweep."""
    with cluster(tmp_path) as parts, drive(parts, patience="60s") as driver:
        in_the_midst(tmp_path)
        parts.scheduler.kill()
        parts.scheduler.wait()
        parts.start_scheduler()
        parts.workers += [parts.start_worker(), parts.start_worker()]
        out = last_words(parts, driver)
        assert out == f"{RUNS} of {RUNS} finished\n", logs(parts)
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)


def test_an_answer_that_is_lost_is_no_lost_job(tmp_path: Path) -> None:
    """A scheduler goes while a worker's answer is fetched; what the job wrote is there."""
    from distributed import Client
    from distributed.comm import CommClosedError

    asked = []

    async def goes(keys: list[str]) -> dict[str, object]:
        asked.extend(keys)
        raise CommClosedError("connection reset by peer")

    with cluster(tmp_path) as parts, Client(parts.address) as client:
        client.scheduler.gather = goes
        points = {"folder": str(tmp_path), "n": [1, 2], "pause": 0.0}
        quietly(slow, points, store=Store(tmp_path / "store"), executor=client.get_executor())
    assert len(asked) == 2
    each_once(Store(tmp_path / "store"), "slow", tmp_path, 2)


def test_a_job_is_given_up_and_refused_as_by_the_executor(tmp_path: Path) -> None:
    from distributed import Client

    with cluster(tmp_path) as parts, Client(parts.address) as client:
        client.wait_for_workers(1)
        executor = client.get_executor()
        busy = [client.submit(time.sleep, 60 + number) for number in range(2)]
        order = Order(str(tmp_path / "store"), "slow", "", (), "", False, b"")
        waiting = submitted(executor, order)
        until(lambda: tasks(client) == 3)
        assert waiting.cancel()
        until(lambda: tasks(client) == 2)
        executor.shutdown(wait=False)
        with pytest.raises(RuntimeError, match="after shutdown"):
            submitted(executor, order)
        del busy


def tasks(client: "Client") -> int:
    """Tasks that a scheduler knows."""
    number: int = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
    return number


def test_a_study_that_is_stopped_begins_nothing_more(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts, drive(parts) as driver:
        in_the_midst(tmp_path)
        study(tmp_path).stop()
        out = last_words(parts, driver, 60)
        assert " finished, " in out and "running" not in out
        quiet_afterwards(tmp_path)
        progress = study(tmp_path).progress()
        assert progress.finished == len(did(tmp_path)) < RUNS and progress.failed == 0
        finishes(parts)
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)


def test_over_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", key, "-out", cert],
        capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    options = ["--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key)]
    with cluster(tmp_path, options, "tls") as parts:
        with drive(parts, 2) as driver:
            out = last_words(parts, driver)
        assert out == "2 of 2 finished\n", logs(parts)
        each_once(Store(tmp_path / "store"), "slow", tmp_path, 2)
        assert "tls://" in parts.log.read_text("utf-8")
