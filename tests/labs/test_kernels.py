"""The kernel lab: bounds at once, times after a run, errors that say which scheme to take."""

import json
import zipfile
from io import BytesIO

import jax
import numpy as np
import pytest

from kernels_pallas import dispatch
from workbench import shipped
from workbench.labs import kernels
from workbench.labs.kernels import view as views
from workbench.labs.kernels.devices import places
from workbench.labs.kernels.exactness import SCHEMES, accuracy, example, recurrence
from workbench.labs.kernels.forms import forms, runnable
from workbench.labs.kernels.knobs import GROUP, OPS, PRESETS, Kernel
from workbench.labs.kernels.work import work
from workbench.measure.roofline import H200, Peaks
from workbench.panels.panel import Panel

HERE = Peaks("test", {"float32": 100e9}, 10e9, "made for a test")
SMALL = {"tokens": 64, "heads": 2, "key_width": 16, "value_width": 16, "width": 32,
         "rows": 2, "inputs": 64, "outputs": 64, "block": 32, "density": 0.5, "pixels": 8,
         "channels": 8, "group": 4}  # fmt: skip
ALIKE = (
    "rms_norm_quantize", "bit_linear", "block_sparse_matmul", "conv2d", "convfirst_block",
    "mbconv_block", "grouped_conv2d", "gated_delta_rule",
    "ternary_matmul",
)  # fmt: skip
"""Ops whose runs are like those of others here: they are among the slow tests."""


def quick(*ops):
    slow = pytest.mark.slow
    return [pytest.param(op, marks=slow) if op in ALIKE else op for op in ops]


ONE_WAY = ("ternary_matmul", "rms_norm_quantize", "convfirst_block", "mbconv_block")


def silent(done, total, note, **more):
    pass


@pytest.fixture
def view(monkeypatch):
    monkeypatch.setattr(views.roofline, "kept", lambda dtype: HERE)
    return views.KernelView()


def values(**changes):
    return {GROUP: Kernel(**{**SMALL, **changes})}


@pytest.mark.parametrize("op", OPS)
def test_every_op_is_bounded_everywhere_before_it_runs(view, op):
    picture = view.predict(values(op=op))
    assert picture.basis == "predicted"
    roof = picture.contents["roof"].chart
    assert len(roof.rows["live"]) == 4
    assert all(row["predicted"] for row in roof.rows["live"])
    for row in roof.rows["live"]:
        name = row["label"]
        corners = [r for r in roof.arguments["roofs"] if r["name"] == name]
        peak, bandwidth = corners[0]["peak"], corners[0]["bandwidth"]
        assert row["y"] == pytest.approx(min(peak, row["x"] * bandwidth))
    assert len(picture.contents["times"].rows) == 4
    compiled = picture.contents["compiled"]
    assert "no kernel" in compiled.text if op == "conv2d" else compiled.rows


@pytest.mark.slow
@pytest.mark.parametrize("op", quick(*OPS))
def test_a_run_times_this_machine(view, op):
    asked = values(op=op, dtype="float32")
    view.errors["float32"] = accuracy([0.1], ["auto"])
    *_, picture = view.run(asked, silent)
    assert picture.basis == "measured" and "CPU" in picture.device
    live = picture.contents["roof"].chart.rows["live"]
    measured = [row for row in live if not row["predicted"]]
    labels = [row["label"] for row in measured]
    assert labels == [f"This machine, {form}" for form in runnable(work(asked[GROUP]))]
    assert labels[0] == "This machine, xla"
    assert view.predict(asked).basis == "measured"
    assert view.predict(values(op=op, dtype="float32", device="here")).basis == "measured"
    other = values(op=op, dtype="float32", tokens=128, rows=4, pixels=9)
    assert view.predict(other).basis == "predicted"


@pytest.mark.slow
@pytest.mark.parametrize("op", quick(*(op for op in OPS if op not in ONE_WAY)))
def test_both_passes_cost_more_and_give_gradients(op):
    one, two = (work(Kernel(**{**SMALL, "op": op, "direction": d})) for d in ("forward", "both"))
    assert two.cost("xla").macs > 1.5 * one.cost("xla").macs
    assert two.cost("xla").bytes_moved > one.cost("xla").bytes_moved
    arrays = two.draw()
    gradients = jax.jit(two.call("xla"))(*arrays)
    assert [g.shape for g in gradients] == [a.shape for a in arrays]
    assert all(np.isfinite(np.asarray(g, np.float64)).all() for g in gradients)


def test_the_form_of_a_device_that_is_not_here_is_known():
    known = forms(work(Kernel()), ["h200", "tpu-v5e", "here"])
    assert known == {"h200": "mosaic_gpu", "tpu-v5e": "mosaic_tpu", "here": "xla"}


@pytest.mark.parametrize(
    ("op", "h200", "tpu"),
    [
        ("gated_linear_attention", ["xla", "mosaic_gpu"], ["xla", "mosaic_tpu"]),
        ("attention", ["xla", "cudnn"], ["xla", "mosaic_tpu"]),
        ("ternary_matmul", ["xla", "mosaic_gpu"], ["xla", "mosaic_tpu"]),
        ("grouped_conv2d", ["xla"], ["xla", "mosaic_tpu"]),
        ("conv2d", ["xla"], ["xla"]),
    ],
)
def test_a_device_is_timed_in_every_form_it_runs(op, h200, tpu):
    asked = work(Kernel(op=op, dtype="bfloat16", key_width=64, value_width=64))
    found = runnable(asked, dispatch.target_named("cuda", "NVIDIA H200"))
    assert found == h200
    assert runnable(asked, dispatch.target_named("tpu", "TPU v5 lite")) == tpu


def test_a_run_times_what_the_device_runs(view, monkeypatch):
    monkeypatch.setattr(views, "runnable", lambda work: ["xla", "reference"])
    *_, picture = view.run(values(op="gated_recurrence"), silent)
    times = picture.contents["times"].rows
    assert [row[1] for row in times[-2:]] == ["xla", "reference"]


def test_a_group_that_does_not_divide_is_named_with_one_that_does(view):
    (problem,) = view.check(values(op="grouped_conv2d", channels=12, group=5))
    assert (problem.level, problem.field) == ("error", "group")
    assert problem.message == "Channels of a group: 5 does not divide 12 channels; 4 does"
    assert view.check(values(op="conv2d", channels=12, group=5)) == []


def test_bounds_are_the_formulas():
    asked = work(Kernel(op="attention", tokens=4096, heads=8, key_width=40, value_width=40))
    h200 = next(p for p in places(asked, None, {}) if p.key == "h200")
    cost = asked.cost("cudnn")
    flop = 2 * cost.macs / H200.flops("bfloat16")
    moved = cost.bytes_moved / H200.bytes_per_s
    assert h200.best.seconds == pytest.approx(max(flop, moved))


def test_automatic_is_exact_for_every_gate_and_one_level_is_not():
    rows = accuracy([0.05, 2.0, 10.0], SCHEMES)
    by = {(row["scheme"], row["strength"]): row["error"] for row in rows}
    assert all(by["auto", strength] <= 1e-5 for strength in (0.05, 2.0, 10.0))
    assert by["one_level", 10.0] is None and by["one_level", 0.05] <= 1e-5


def test_the_oracle_is_the_parallel_form():
    q, k, v, g = example(0.3)
    total = np.cumsum(g, axis=1)
    scores = np.einsum(
        "bihk,bjhk,bijhk->bhij", q, k, np.exp(np.minimum(total[:, :, None] - total[:, None], 0))
    )
    mask = np.tril(np.ones(scores.shape[-2:], bool))
    wanted = np.einsum("bhij,bjhv->bihv", np.where(mask, scores, 0) / 8, v)
    np.testing.assert_allclose(recurrence(q, k, v, g), wanted, rtol=1e-9, atol=1e-9)


def test_what_is_recorded_is_what_is_measured():
    found = json.loads((shipped.path("data/kernels") / "accuracy.json").read_text())
    assert {row["dtype"] for row in found["rows"]} == {"float32", "bfloat16"}
    again = accuracy([0.1], ["two_level"])[0]
    recorded = next(
        row for row in found["rows"]
        if (row["dtype"], row["scheme"], row["strength"]) == ("float32", "two_level", 0.1)
    )  # fmt: skip
    assert again["error"] == pytest.approx(recorded["error"], rel=3)


def test_what_this_machine_cannot_time_is_foreseen_and_not_run(view, monkeypatch):
    monkeypatch.setattr(views, "available_bytes", lambda: 10_000)
    (problem,) = view.check(values())
    assert problem.level == "warn" and problem.field == "tokens"
    assert problem.message.startswith("Not timed here: it needs about 0.0 GB")
    (picture,) = view.run(values(), silent)
    assert picture.basis == "predicted" and picture.contents["times"].rows
    monkeypatch.setattr(views, "available_bytes", lambda: None)
    assert view.check(values()) == []
    (problem,) = view.check(values(op="attention", tokens=65536, heads=64, batch=64))
    assert problem.message.startswith("Not timed here: it would take about")


def test_a_kernel_has_its_own_cost_and_strong_gates_another():
    mild, strong = (work(Kernel(strength=s)).cost for s in (0.05, 10.0))
    assert strong("xla").macs != mild("xla").macs
    assert mild("mosaic_gpu") == strong("mosaic_gpu") != mild("xla")


def test_attention_on_an_absent_gpu_is_cudnns():
    asked = Kernel(op="attention", tokens=4096, heads=8, key_width=40, value_width=40)
    found = {place.key: place.form for place in places(work(asked), HERE, {})}
    assert found == {"h200": "cudnn", "tpu-v5e": "mosaic_tpu", "tpu-v6e": "mosaic_tpu",
                     "here": "xla"}  # fmt: skip


def test_the_report_is_of_the_device_looked_at(view):
    def devices(**changes):
        rows = view.predict(values(**changes)).contents["compiled"].rows
        return {row[1] for row in rows}

    assert devices(device="h200") == {"H200"} and devices(device="tpu-v6e") == {"TPU v6e"}
    assert devices(device="here") == {"H200", "TPU v5e", "TPU v6e"}
    assert devices(op="attention", device="h200") == {"TPU v5e", "TPU v6e"}


def test_a_click_looks_at_a_device(view):
    assert view.load("tpu-v5e") == {GROUP: {"device": "tpu-v5e"}}
    assert view.load("nowhere") is None


@pytest.mark.slow
def test_exports_are_of_the_roofline(view):
    asked = values()
    picture = view.predict(asked)
    for entry in view.exports:
        name, data = view.export(entry.kind, asked, picture)
        assert name.endswith(entry.note) and len(data) > 200
    name, data = view.export("zip", asked, picture)
    inside = zipfile.ZipFile(BytesIO(data)).namelist()
    assert any(file.endswith("figure.toml") for file in inside)
    with pytest.raises(ValueError, match="no export of kind"):
        view.export("exe", asked, picture)


def test_the_code_opens_the_same_panel(view):
    panel = Panel(view, settings={GROUP: {"op": "attention", "tokens": 64}}, quiet=3600)
    panel.send = lambda *message: None
    space: dict = {}
    text = view.code(panel.values).replace("panel.run()\n", "panel.send = lambda *m: None\n")
    exec(text, space)
    assert space["panel"].settings == panel.settings
    for one in (panel, space["panel"]):
        one.close()


def test_presets_fill_the_form(view):
    for preset in PRESETS:
        assert Kernel(**preset.values[GROUP])
    assert kernels.accuracy is accuracy and kernels.open is views.open
