"""A run laid on devices: ZeRO's published memory, guessed shapes, the fewest devices, idle time."""

from dataclasses import replace

import pytest

from workbench.scaling.training_cost import (
    Cluster,
    Decoder,
    bubble,
    kept_bytes,
    of_tokens,
    shaped,
    state_bytes,
)
from workbench.scaling.training_plan import Layout, fewest, held, trained

MODEL = Decoder(24, 2304, vocabulary=0)
PARAMS = 12.0 * 24 * 2304**2


@pytest.mark.parametrize(("stage", "billions"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_zero_memory_of_seven_billion_parameters_on_64_devices(stage, billions):
    found = state_bytes(7.5e9, shards=64, stage=stage)
    assert found / 1e9 == pytest.approx(billions, abs=0.06)
    with pytest.raises(ValueError, match="stage is 4, not one of 0, 1, 2, 3"):
        state_bytes(1e9, stage=4)


@pytest.mark.parametrize("params", [3e4, 1e6, 1.7e9, 1.75e11, 1e12])
def test_a_guessed_shape_keeps_the_size(params):
    model = shaped(params)
    assert 12 * model.layers * model.width**2 == pytest.approx(params, rel=0.2)
    assert model.width % 8 == 0


def test_the_guess_for_gpt_3_is_near_its_shape():
    model = shaped(12.0 * 96 * 12288**2, length=512)
    assert (model.layers, model.width, model.length) == (96, 12288, 512)
    with pytest.raises(ValueError, match="params is 10, not a size from 1000"):
        shaped(10)


def test_what_a_device_holds_by_its_parts():
    plain = held(MODEL, PARAMS, Layout(), 8)
    assert plain.state == 16 * PARAMS / 8 and plain.operator == 16 * 2304**2
    assert plain.activations == kept_bytes(MODEL, 1) == 34 * 2048 * 2304 * 24
    again = held(MODEL, PARAMS, Layout(recompute=True), 8)
    one_layer = 2048 * (16 * 2304 + 2 * 18 * 2048)
    assert again.activations == 2 * 2048 * 2304 * 24 + one_layer
    # The first of four stages keeps four micro-batches of a quarter of the layers.
    deep = held(MODEL, PARAMS, Layout(stages=4), 2)
    assert deep.activations == plain.activations and deep.state == 16 * PARAMS / 4 / 2
    few = held(MODEL, PARAMS, Layout(stages=4, batch=2), 2)
    assert few.activations == plain.activations / 4


def test_devices_that_share_a_layer_and_pieces_that_take_turns():
    plain = held(MODEL, PARAMS, Layout(stages=4), 2)
    shared = held(MODEL, PARAMS, Layout(stages=4, tensor=8), 2)
    for name in ("state", "activations", "operator"):
        assert getattr(shared, name) == getattr(plain, name) / 8
    turns = held(MODEL, PARAMS, Layout(stages=4, interleaved=2), 2)
    assert turns.activations == plain.activations * 11 / 8 and turns.state == plain.state
    layout = Layout(stages=4, interleaved=2, tensor=2, batch=32)
    model, cluster = MODEL, Cluster(19, 1e14)
    busy = of_tokens(model, 1e10, 32, replace(cluster, devices=16), recompute=False)
    cost = trained(model, 1e10, layout, cluster)
    assert cost.days == pytest.approx(busy.days * (1 + 3 / (2 * 16)))
    assert fewest(model, PARAMS, layout, 24e9) % 8 == 0
    with pytest.raises(ValueError, match="devices is 7, fewer than the 8 of a replica, 2 a stage"):
        trained(model, 1e10, layout, Cluster(7, 1e14))
    with pytest.raises(ValueError, match="tensor is 0, not a number from 1"):
        Layout(tensor=0)


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
@pytest.mark.parametrize("stages", [1, 4])
@pytest.mark.parametrize("memory", [8e9, 24e9])
def test_the_fewest_devices_are_those_that_counting_up_finds(zero, stages, memory):
    layout = Layout(zero=zero, stages=stages, batch=64)
    fits = (
        count * stages for count in range(1, 65)
        if held(MODEL, PARAMS, layout, count).total <= memory
    )  # fmt: skip
    assert fewest(MODEL, PARAMS, layout, memory) == next(fits, None)


def test_days_count_the_idle_time_and_leave_devices_without_work_out():
    layout = Layout(stages=8, batch=64, recompute=True)
    cluster = Cluster(19, 1e14, price=2.0)
    cost = trained(MODEL, 1e10, layout, cluster)
    busy = of_tokens(MODEL, 1e10, 64, replace(cluster, devices=16))
    assert cost.days == pytest.approx(busy.days * (1 + bubble(8, 32)))
    assert cost.price == pytest.approx(2 * cost.days * 24 * 16)
    small = trained(MODEL, 1e10, Layout(batch=4), Cluster(100, 1e14))
    assert small.device_hours == pytest.approx(small.days * 24 * 4)
    with pytest.raises(ValueError, match="devices is 4, fewer than the 8 stages"):
        trained(MODEL, 1e10, layout, Cluster(4, 1e14))
    with pytest.raises(ValueError, match="batch is 2 rows, fewer than 4"):
        Layout(rows=4, batch=2)
