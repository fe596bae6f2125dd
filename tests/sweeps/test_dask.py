"""Sweeps over two Dask workers on loopback, any part of which is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweeps.cluster import Cluster, cluster, environment
from tests.sweeps.noted import did, each_once, quiet_afterwards, until
from workbench.runs import Store
from workbench.sweeps import Study

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
def drive(cluster: Cluster, number: int = RUNS) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", DRIVER, str(cluster.folder), cluster.address, str(number)]
    with (
        (cluster.folder / "driver.txt").open("ab") as log,
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True
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


def finishes(cluster: Cluster) -> None:
    with drive(cluster) as driver:
        out, _ = driver.communicate(timeout=120)
    assert out == f"{RUNS} of {RUNS} finished\n", (cluster.folder / "driver.txt").read_text("utf-8")


def test_a_killed_worker(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts, drive(parts) as driver:
        in_the_midst(tmp_path)
        parts.workers[0].kill()
        out, _ = driver.communicate(timeout=120)
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
            out, _ = driver.communicate(timeout=120)
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
    with cluster(tmp_path) as parts, drive(parts) as driver:
        in_the_midst(tmp_path)
        parts.scheduler.kill()
        parts.scheduler.wait()
        parts.start_scheduler()
        parts.workers += [parts.start_worker(), parts.start_worker()]
        out, _ = driver.communicate(timeout=120)
        assert out == f"{RUNS} of {RUNS} finished\n", (tmp_path / "driver.txt").read_text("utf-8")
        each_once(Store(tmp_path / "store"), "slow", tmp_path, RUNS)


def test_a_study_that_is_stopped_begins_nothing_more(tmp_path: Path) -> None:
    with cluster(tmp_path) as parts, drive(parts) as driver:
        in_the_midst(tmp_path)
        study(tmp_path).stop()
        out, _ = driver.communicate(timeout=60)
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
            out, _ = driver.communicate(timeout=120)
        assert out == "2 of 2 finished\n", (tmp_path / "driver.txt").read_text("utf-8")
        each_once(Store(tmp_path / "store"), "slow", tmp_path, 2)
        assert "tls://" in parts.log.read_text("utf-8")
