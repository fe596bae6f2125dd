"""Weights in pieces over eight devices, and two processes: the curve of one device."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.test_processes import BEGIN, ROOT, python

QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiled quickly; the numbers are the same
EIGHT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", **QUICK}
NET = """
import jax.numpy as jnp
from workbench.training import Recipe, sharded_mesh
class Net(Line):
    def init(self, key):
        a, b = jax.random.split(key)
        return {"a": jax.random.normal(a, (4, 32)) / 4, "b": jax.random.normal(b, (32, 3)) / 9,
                "c": jnp.zeros(3)}
    def loss(self, params, batch, key):
        hidden = jnp.tanh(batch[0] @ params["a"])
        return jnp.mean((hidden @ params["b"] + params["c"][None] - batch[1]) ** 2), {}
    def evaluate(self, params):
        return {"size": float(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)))}
"""


@pytest.mark.slow
def test_weights_in_pieces_give_the_curve_of_one_device_and_resume_exactly(tmp_path: Path) -> None:
    done = python(
        NET
        + """
from jax.sharding import AxisType, PartitionSpec
mesh = sharded_mesh(4)
assert mesh.axis_names == ("data", "fsdp") and mesh.devices.shape == (2, 4)
assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)
def stop(done, total, note=""):
    if done >= 12:
        raise KeyboardInterrupt
one = train(Net(), RECIPE, report=silent)
many = train(Net(), RECIPE, report=silent, mesh=mesh)
np.testing.assert_allclose(many.history["loss"], one.history["loss"], rtol=1e-5)
for tree in (many.params, many.ema):
    assert tree["a"].sharding.spec == PartitionSpec(None, "fsdp")
    assert [part.data.shape for part in tree["b"].addressable_shards] == [(8, 3)] * 8
    assert tree["c"].sharding.is_fully_replicated
np.testing.assert_allclose(many.evaluation["size"], one.evaluation["size"], rtol=1e-4)
parts = train(Net(), RECIPE.model_copy(update={"accumulation": 2}), report=silent, mesh=mesh)
np.testing.assert_allclose(parts.history["loss"], one.history["loss"], rtol=1e-5)
try:
    train(Net(), RECIPE, report=stop, mesh=mesh, folder=sys.argv[1])
except KeyboardInterrupt:
    pass
back = train(Net(), RECIPE, report=silent, mesh=mesh, folder=sys.argv[1])
assert 12 <= back.resumed_from < 20, back.resumed_from
for a, b in zip(jax.tree.leaves((back.params, back.ema)), jax.tree.leaves((many.params, many.ema))):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes() and a.sharding == b.sharding
for wrong in (lambda: sharded_mesh(3), lambda: train(Odd(), RECIPE, report=silent, mesh=mesh)):
    class Odd(Net):
        def batch(self, step):
            return tuple(part[:12] for part in super().batch(step))
    try:
        wrong()
    except ValueError as error:
        print(error)
""",
        str(tmp_path / "run"),
        **EIGHT,
    )
    assert done.returncode == 0, done.stderr
    assert "shards=3 must divide the number of devices, 8" in done.stdout
    assert "batch[0]: 12 examples cannot be split evenly over 8 devices" in done.stdout


@pytest.mark.slow
@pytest.mark.long
def test_a_decoder_in_pieces_has_the_curve_of_one_device() -> None:
    done = python(
        """
from tests.language.texts import config, dataset
from workbench.language import NextToken, TokenData
from workbench.training import Recipe, sharded_mesh
task = NextToken(config(), TokenData(dataset(), length=24))
recipe = Recipe(steps=8, batch_size=8, learning_rate=3e-3, log_every=1)
one = train(task, recipe, report=silent)
many = train(task, recipe, report=silent, mesh=sharded_mesh())
np.testing.assert_allclose(many.history["loss"], one.history["loss"], rtol=1e-5)
assert one.history["loss"].iloc[-1] < one.history["loss"][0] - 0.05
cut = [leaf for leaf in jax.tree.leaves(many.params) if not leaf.sharding.is_fully_replicated]
assert len(cut) > 6
np.testing.assert_allclose(
    many.evaluation["bits_per_byte"], one.evaluation["bits_per_byte"], rtol=1e-5)
""",
        **EIGHT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_have_the_curve_of_one(tmp_path: Path) -> None:
    """Real ones, that meet on this machine's own address; each draws its half of a batch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    code = (
        BEGIN
        + NET
        + """
address, place, folder = sys.argv[1:]
jax.distributed.initialize(address, num_processes=2, process_id=int(place))
assert jax.process_count() == 2 and jax.device_count() == 4
class Half(Net):
    def batch(self, step):
        half = slice(8 * jax.process_index(), 8 * jax.process_index() + 8)
        return tuple(part[half] for part in super().batch(step))
for mesh in (data_mesh(), sharded_mesh()):
    found = train(Half(), RECIPE, report=silent, mesh=mesh)
    print(json.dumps([found.history["loss"].tolist(), found.evaluation["size"]]))
try:
    train(Half(), RECIPE, report=silent, mesh=mesh, folder=folder)
except ValueError as error:
    print(error)
"""
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, address, str(place), str(tmp_path / "run")],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for place in range(2)
    ]
    said = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    alone = python(
        NET
        + """
found = train(Net(), RECIPE, report=silent)
print(json.dumps([found.history["loss"].tolist(), found.evaluation["size"]]))
""",
        **QUICK,
    )
    assert alone.returncode == 0, alone.stderr
    loss, size = json.loads(alone.stdout)
    for out, _ in said:
        *curves, refused = out.splitlines()[-3:]
        assert "a run is kept by one process alone, and this job has 2" in refused
        for found, found_size in map(json.loads, curves):
            assert found == pytest.approx(loss, rel=1e-5)
            assert found_size == pytest.approx(size, rel=1e-4)


def _environment() -> dict[str, str]:
    flags = "--xla_force_host_platform_device_count=2"
    path = str(ROOT)
    places = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path, "XLA_FLAGS": flags}
    return {**os.environ, **places, **QUICK}
