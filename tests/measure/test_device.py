"""What is said about the machine."""

import json
import os
import sys
import types

import jax

from workbench.measure import device, memory


def test_label_of_this_machine():
    here = device.describe()
    cores = len(os.sched_getaffinity(0))
    assert here.label() == (
        f"CPU, {cores} core{'s' * (cores > 1)} · float32 · jax {jax.__version__}"
    )
    assert here.kind == "CPU" and here.memory > 1 << 28
    assert json.loads(json.dumps(here.as_json()))["label"] == device.label()


def test_label_of_accelerators():
    here = device.describe("bfloat16")
    board = device.Device(**{**here.__dict__, "kind": "GPU", "name": "NVIDIA H200", "count": 1})
    assert board.label().startswith("NVIDIA H200 · bfloat16 · jax ")
    pair = device.Device(**{**board.__dict__, "count": 2})
    assert pair.label().startswith("2 × NVIDIA H200 · ")


def test_a_jax_that_is_just_being_imported_is_not_asked(monkeypatch):
    jax.devices()
    assert device.devices_in_use() == jax.devices()
    half = types.ModuleType("jax")
    monkeypatch.setitem(sys.modules, "jax", half)
    assert device.devices_in_use() == []
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", types.ModuleType("xla_bridge"))
    assert device.devices_in_use() == []
    assert memory.available_bytes() > 0


def test_processor_name_is_read_or_replaced(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Good CPU @ 2 GHz\n")
    assert device.processor_name(info) == "Good CPU @ 2 GHz"
    assert device.processor_name(tmp_path / "missing")
