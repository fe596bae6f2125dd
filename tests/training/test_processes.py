"""What needs processes of its own: exact resume after a restart, and eight devices."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BEGIN = """
import sys, os, json, jax, numpy as np
jax.config.update("jax_numpy_dtype_promotion", "strict")
from tests.training.line import Line, RECIPE, silent
from workbench.training import train, data_mesh
def save(path, result):
    leaves = jax.tree.leaves((result.params, result.ema))
    np.savez(path, *[np.asarray(leaf) for leaf in leaves])
"""


def python(code: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", BEGIN + code, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, cwd=ROOT)


def arrays(path: Path) -> list[Any]:
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in file.files]


@pytest.mark.slow
def test_ten_and_ten_updates_are_twenty_bit_for_bit(tmp_path: Path) -> None:
    killed = python(
        """
folder, out = sys.argv[1:]
class Dies(Line):
    def batch(self, step):
        if step == 13:
            import time
            from workbench.training import Checkpoints
            from pathlib import Path
            while 10 not in Checkpoints(Path(folder) / "checkpoints").steps():
                time.sleep(0.01)
            os.kill(os.getpid(), 9)
        return super().batch(step)
train(Dies(), RECIPE, report=silent, folder=folder)
""",
        str(tmp_path / "run"),
        "",
    )
    assert killed.returncode == -9, killed.stderr
    finish = """
result = train(Line(), RECIPE, report=silent, folder=sys.argv[1] or None)
save(sys.argv[2], result)
rows = result.history.drop(columns=[]).to_dict("list")
print(json.dumps([result.resumed_from, rows]))
"""
    resumed = python(finish, str(tmp_path / "run"), str(tmp_path / "resumed.npz"))
    assert resumed.returncode == 0, resumed.stderr
    whole = python(finish, "", str(tmp_path / "whole.npz"))
    assert whole.returncode == 0, whole.stderr
    start, rows = json.loads(resumed.stdout)
    assert start == 10
    assert rows == json.loads(whole.stdout)[1]
    pairs = zip(arrays(tmp_path / "resumed.npz"), arrays(tmp_path / "whole.npz"), strict=True)
    for got, wanted in pairs:
        assert got.tobytes() == wanted.tobytes()


@pytest.mark.slow
def test_eight_devices_give_the_curve_of_one(tmp_path: Path) -> None:
    done = python(
        """
from jax.sharding import AxisType
assert jax.device_count() == 8
mesh = data_mesh()
assert mesh.axis_names == ("data",) and mesh.axis_types == (AxisType.Auto,)
many = train(Line(), RECIPE, report=silent, mesh=mesh, folder=sys.argv[1])
one = train(Line(), RECIPE, report=silent)
assert len(many.params["w"].sharding.device_set) == 8
np.testing.assert_allclose(many.history["loss"], one.history["loss"], rtol=1e-4)
np.testing.assert_allclose(many.params["w"], one.params["w"], rtol=1e-3, atol=1e-5)
back = train(Line(), RECIPE, report=silent, mesh=mesh, folder=sys.argv[1])
assert (np.asarray(back.params["w"]) == np.asarray(many.params["w"])).all()
from workbench.training.mesh import split_batch
parts = split_batch(Line().batch(0), mesh)[0].addressable_shards
assert [part.data.shape for part in parts] == [(2, 4)] * 8
try:
    split_batch({"x": np.zeros((12, 1))}, mesh)
except ValueError as error:
    print(error)
""",
        str(tmp_path / "run"),
        XLA_FLAGS="--xla_force_host_platform_device_count=8",
    )
    assert done.returncode == 0, done.stderr
    assert "batch['x']: 12 examples cannot be split evenly over 8 devices" in done.stdout
