"""Memory marks of fresh processes, and XLA's estimate under its own name."""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import psutil
import pytest

from workbench.measure import memory

HERE = [str(Path(__file__).parent)]
MEBI = 1 << 20


def peak(function, *args, **options):
    options = {"paths": [*HERE, *sys.path], "timeout": 60, **options}
    return memory.peak_in_fresh_process(f"peaks_targets:{function}", args, **options)


@pytest.mark.parametrize("reset", [True, False])
def test_counts_what_the_call_took_and_gave_back(reset):
    found = peak("hold", 96, kwargs={"label": "x"}, reset=reset)
    assert 95 * MEBI <= found.above_imports < 112 * MEBI
    assert found.import_level < 64 * MEBI
    assert found.result == {"label": "x", "mebibytes": 96}
    assert found.method == ("VmHWM after clear_refs" if reset else "difference of lifetime peaks")
    assert found.as_json()["above_imports"] == found.above_imports


def test_imports_do_not_count():
    found = peak("hold", 1, imports=["jax", "numpy"])
    assert found.import_level > 32 * MEBI
    assert found.above_imports < 16 * MEBI


def test_jax_in_a_fresh_process():
    found = peak("jax_square", 1024, imports=["jax"])
    assert found.result == 1024.0
    assert found.above_imports > 2 * 4 * MEBI


def test_errors_of_the_function_are_passed_on():
    with pytest.raises(memory.FreshProcessError, match="ValueError: no such image") as caught:
        peak("fail", "no such image")
    assert "in fail" in str(caught.value), "with the place it came from"


def test_a_killed_process_is_said_to_be():
    with pytest.raises(memory.FreshProcessError, match="most likely out of memory"):
        peak("killed")


def test_a_process_that_leaves_says_what_it_printed():
    with pytest.raises(memory.FreshProcessError, match=r"exit code 3.*on the way out"):
        peak("leave")


def test_a_result_json_cannot_hold():
    with pytest.raises(memory.FreshProcessError, match="not JSON serializable"):
        peak("not_json")


def test_timeout_ends_the_process():
    start = time.monotonic()
    with pytest.raises(memory.FreshProcessError, match=r"more than 0\.5 s"):
        peak("sleep", 60, timeout=0.5)
    assert time.monotonic() - start < 10


def test_cancel_ends_the_process():
    def stop(done, total, note="", preview=None):
        raise InterruptedError(note)

    start = time.monotonic()
    with pytest.raises(InterruptedError, match="memory of peaks_targets:sleep"):
        peak("sleep", 60, report=stop)
    assert time.monotonic() - start < 10


def test_a_function_that_does_not_exist():
    with pytest.raises(memory.FreshProcessError, match="has no attribute 'nothing'"):
        peak("nothing")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"target": "no_colon"}, 'must be "package.module:function"'),
        ({"target": "a:b", "timeout": 0}, "timeout is 0 s"),
        ({"target": "a:b", "args": [object()]}, "plain JSON values"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        memory.peak_in_fresh_process(**arguments)


def test_estimate_knows_arguments_and_outputs():
    wide = jax.ShapeDtypeStruct((256, 256), jnp.float32)
    found = memory.estimate(lambda a, b: jnp.tanh(a @ b) @ b, wide, wide)
    assert found.arguments == 2 * 256 * 256 * 4
    assert found.outputs == 256 * 256 * 4
    assert found.total >= found.arguments + found.outputs


def test_no_device_count_on_cpu():
    assert memory.device_peak() is None


V2 = {
    "memory.max": "{limit}",
    "memory.current": "{used}",
    "memory.stat": "anon 5\ninactive_file {idle}",
}
V1 = {
    "memory/memory.limit_in_bytes": "{limit}",
    "memory/memory.usage_in_bytes": "{used}",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file {idle}",
}


def container(folder, files, **numbers):
    (folder / "memory").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text.format(**numbers) + "\n", encoding="ascii")
    return memory.container_available(folder)


@pytest.mark.parametrize("files", [V2, V1], ids=["v2", "v1"])
def test_a_container_offers_the_pages_of_files_not_in_use(tmp_path, files):
    assert memory.container_available(tmp_path) is None
    found = container(tmp_path, files, limit=8 * 10**9, used=79 * 10**8, idle=68 * 10**8)
    assert found == 69 * 10**8
    assert container(tmp_path, files, limit=1000, used=1500, idle=100) == 0
    assert container(tmp_path, files, limit="max", used=1500, idle=100) is None


def test_available_memory_is_the_tighter_of_machine_and_container(monkeypatch):
    machine = psutil.virtual_memory()
    monkeypatch.setattr(memory, "container_available", lambda: 7000)
    assert memory.available_bytes() == 7000
    for size in (None, 10**18):
        monkeypatch.setattr(memory, "container_available", lambda size=size: size)
        assert 0.3 * machine.available < memory.available_bytes() < machine.total


def test_the_mean_in_a_fresh_process_is_below_its_peak():
    found = peak("hold_then_release", 96)
    assert found.mean_above_imports is not None
    # 96 MiB for half of the time.
    assert 30 * MEBI < found.mean_above_imports < 70 * MEBI < found.above_imports


class Board:
    """A device whose memory in use climbs by a quarter of it at each reading."""

    def __init__(self, tells=True):
        self.tells, self.reads = tells, 0

    def memory_stats(self):
        self.reads += 1
        used = 100.0 * min(4, self.reads - 1)
        return {"bytes_limit": 400, "bytes_in_use": used} if self.tells else None


def test_memory_in_use_is_a_mean_over_time():
    board = Board()
    with memory.InUse(board, period=0.02) as used:
        time.sleep(0.2)
    assert used.capacity == 400 and used.used[0] == 100 and used.used[-1] == 400
    assert len(used.used) == board.reads - 1 > 4
    assert 0.7 < used.utilisation < 1


def test_a_device_that_tells_nothing_has_no_utilisation():
    with memory.InUse(Board(tells=False)) as used:
        pass
    assert used.utilisation is None and used.used == []
