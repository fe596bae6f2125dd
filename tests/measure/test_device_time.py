"""Calls back to back on a device: each is made, in order, and none is merged with another."""

import importlib
import random
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from kernels_pallas.report import compiling

FOLDER = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are in a checkout only")


@pytest.fixture
def device_time(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import device_time

    return device_time


def test_every_call_is_made(device_time) -> None:
    seen = []

    def look(x):
        seen.append(float(x))
        return np.float32(2 * x)

    def function(x):
        return io_callback(look, jax.ShapeDtypeStruct((), jnp.float32), x)

    thunk = device_time.chained(function, [[jnp.float32(n)] for n in (1, 2, 3)], rounds=4)
    assert float(thunk()) == 6
    assert sorted(seen) == sorted([1, 2, 3] * 4)


COMPILED = """
import jax, jax.numpy as jnp
import device_time
from kernels_pallas.report.devices import DEVICES

device = next(one for one in DEVICES.values() if one.platform == "cuda")
square = jax.ShapeDtypeStruct((512, 512), jnp.bfloat16, sharding=device.sharding)
mesh = jax.sharding.AbstractMesh((1,), ("one",), abstract_device=device.abstract)
with jax.sharding.use_abstract_mesh(mesh):
    text = device_time.program(lambda a, b: jnp.tanh(a) + b, [[square] * 2] * 3, 4).as_text()
body = text[text.index("%region_0") :].split("\\n}")[0]
assert body.count("= bf16[512,512]{1,0} fusion(") == 3, text
assert text.count(" while(") == 1, text
"""
PYTHON = FOLDER.parent / ".venv-kernels" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="no compiler for GPUs (make kernels-report)")
def test_a_gpus_compiler_keeps_equal_calls_apart() -> None:
    environment = compiling.environment(FOLDER) | {"PYTHONPATH": f"{FOLDER}:{FOLDER.parent}"}
    done = subprocess.run(
        [str(PYTHON), "-c", COMPILED], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_results_may_be_trees(device_time) -> None:
    sets = [[jnp.full(3, n), jnp.ones((), jnp.int8)] for n in (1.0, 2.0)]
    total, (row, count) = device_time.chained(lambda a, b: (a.sum(), [a, b]), sets, 2)()
    assert float(total) == 6 and row.tolist() == [2, 2, 2] and count.dtype == jnp.int8


def test_sets_pass_the_cache(device_time, monkeypatch) -> None:
    monkeypatch.setattr(device_time, "CACHE", 4000)

    def make(seed):
        return [jnp.zeros(5), {"w": jnp.full(250, float(seed))}]

    sets = device_time.rotated(make, shared=1)
    assert len(sets) == 8 and all(one[0] is sets[0][0] for one in sets)
    assert [float(one[1]["w"][0]) for one in sets] == list(range(8))
    assert len(device_time.rotated(make, streamed=100)) == device_time.MOST_SETS
    assert len(device_time.rotated(make, streamed=10**9)) == 1


def test_one_dispatch_holds_milliseconds(device_time) -> None:
    assert device_time.rounds_for(1e-3, 2) * 2e-3 == pytest.approx(device_time.AT_ONCE, rel=0.5)
    assert device_time.rounds_for(1.0, 2) == 1
    assert device_time.rounds_for(1e-9, 1) == 200


def test_gradients_and_their_distance(device_time) -> None:
    both = device_time.gradients(lambda a, b: a * b, 2)
    found = device_time.on_host(both(jnp.array([2.0]), jnp.array([3.0]), jnp.array([10.0])))
    assert [float(array[0]) for array in found] == [6, 30, 20]
    other = [array + shift for array, shift in zip(found, (0, 3, 0), strict=True)]
    assert device_time.apart(found, other) == pytest.approx(0.1)
    assert np.isnan(device_time.apart([np.array([1.0])], [np.array([np.nan])]))


@pytest.mark.parametrize(
    "name", ["fused_block_gpu", "gla_gpu", "kernels_gpu", "stable_diffusion_gpu"]
)
def test_without_a_gpu_nothing_is_written(name, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module(name)
    if jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(tmp_path)])
    assert script.main() == 0
    assert capsys.readouterr().out == f"{script.NO_GPU}\n"
    assert not list(tmp_path.iterdir())


class Tuner:
    """Tunes as Triton's does: times each candidate, and keeps the times."""

    def prune_configs(self, kwargs):
        return kwargs["configs"]

    def _bench(self, *args, config, **meta):
        return self.do_bench(lambda: meta["ran"].append(config), quantiles=(0.5,))

    def do_bench(self, kernel, quantiles):
        raise AssertionError("timed")


def test_peers_compile_every_candidate_in_an_order_of_their_own_and_time_none(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import triton_ahead

    triton_ahead.trying(Tuner, random.Random(1))
    tuner, ran = Tuner(), []
    configs = tuner.prune_configs({"configs": list(range(20))})
    assert configs != sorted(configs) == list(range(20))
    times = [tuner._bench(config=config, ran=ran) for config in configs]
    assert ran == configs and all(len(one) == 3 for one in times)
