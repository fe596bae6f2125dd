"""Megatron-LM's and ZeRO-Infinity's published tables, by their equations."""

import math

import pytest

from workbench.scaling.training_cost import (
    Cluster,
    Decoder,
    bubble,
    checkpoint_bytes,
    efficiency,
    kept_bytes,
    live_chunks,
    of_flops,
    of_tokens,
    rule_of_eight,
    state_bytes,
    working_bytes,
)

TABLE_1 = [
    # billions, width, layers, devices, batch, TFLOP/s, by formula, seconds, stages, bubble
    (1.7, 2304, 24, 32, 512, 137, 1.65, 3.53, 1, 0),
    (3.6, 3072, 30, 64, 512, 138, 3.56, 3.70, 1, 0),
    (7.5, 4096, 36, 128, 512, 142, 7.47, 3.70, 1, 0),
    (18.4, 6144, 40, 256, 1024, 135, 18.45, 9.40, 1, 0),
    (39.1, 8192, 48, 512, 1536, 138, 39.10, 14.45, 2, 0.021),
    (76.1, 10240, 60, 1024, 1792, 140, 76.05, 16.06, 4, 0.054),
    (145.6, 12288, 80, 1536, 2304, 148, 145.62, 24.82, 8, 0.073),
    (310.1, 16384, 96, 1920, 2160, 155, 310.13, 37.61, 16, 0.104),
    (529.6, 20480, 105, 2520, 2520, 163, 529.60, 54.08, 35, 0.121),
    (1008.0, 25600, 128, 3072, 3072, 163, 1008.04, 102.63, 64, 0.123),
]


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: f"{row[0]} B")
def test_megatron_weak_scaling(row: tuple[float, ...]) -> None:
    billions, width, layers, devices, batch, rate, formula, seconds, stages, idle = row
    model = Decoder(int(layers), int(width))
    assert model.params / 1e9 == pytest.approx(formula, abs=6e-3)
    assert model.params / 1e9 == pytest.approx(billions, abs=0.06)
    step = model.step_flops(int(batch)) / (devices * rate * 1e12)
    assert step == pytest.approx(seconds, abs=6e-3)
    # Tensor parallel over 8 from 18 B on, the rest over pipelines and data; one row a micro-batch.
    tensor = 8 if billions > 18 else {1.7: 1, 3.6: 2, 7.5: 4}[billions]
    micro = batch * tensor * stages / devices
    assert bubble(int(stages), int(micro)) == pytest.approx(idle, abs=1e-3)


PRINTED = [(44, 4.4), (44, 8.8), (46, 18.2), (43, 34.6), (44, 70.8), (45, 143.8), (47, 227.1),
           (50, 297.4), (52, 410.2), (52, 502.0)]  # fmt: skip


@pytest.mark.parametrize(("row", "printed"), [*zip(TABLE_1, PRINTED, strict=True)])
def test_megatron_throughput(row: tuple[float, ...], printed: tuple[int, float]) -> None:
    _, width, layers, devices, batch, rate, *_ = row
    model, cluster = Decoder(int(layers), int(width)), Cluster(int(devices), rate * 1e12)
    days = of_tokens(model, batch * model.length, int(batch), cluster).days
    together = model.step_flops(int(batch)) / (86_400 * days)
    assert together / 1e15 == pytest.approx(printed[1], abs=1.4)
    assert 100 * together / devices / 312e12 == pytest.approx(printed[0], abs=0.5)


@pytest.mark.parametrize(
    ("stages", "micro_batches", "interleaved", "idle", "live"),
    [
        (4, 8, 1, 0.3750, 4),
        (4, 8, 2, 0.1875, 11),
        (8, 32, 1, 0.21875, 8),
        (8, 32, 2, 0.109375, 23),
        (8, 32, 4, 0.0546875, 39),
        (64, 512, 1, 0.123046875, 64),
        (64, 512, 2, 0.0615234375, 191),
    ],
)
def test_interleaving_divides_the_bubble_and_keeps_more(
    stages: int, micro_batches: int, interleaved: int, idle: float, live: int
) -> None:
    assert bubble(stages, micro_batches, interleaved) == idle
    assert live_chunks(stages, micro_batches, interleaved) == live
    more = 1 + (stages - 1) / (stages * interleaved) if interleaved > 1 else 1
    assert live / interleaved == pytest.approx(stages * more)


# Korthikanti et al. 2022 (arXiv 2205.05198), A100, V = 51200, s = 2048, 8 devices a layer, and
# Calculon's model of the same runs (github.com/calculon-ai/calculon).
SEQUENCE = [
    # layers, width, heads, stages, pieces, batch, rows,
    # seconds recomputing / selectively and by sequence, the same by Calculon,
    # GiB of activations kept / selectively and by sequence, GiB of state
    (48, 6144, 64, 1, 1, 4, 4, (1.42, 1.10), (1.40, 1.14), (59.25, 9.56), 45.56),
    (96, 12288, 96, 8, 3, 64, 1, (18.13, 13.75), (18.03, 13.64), (66.84, 12.35), 45.56),
    (105, 20480, 128, 35, 3, 280, 1, (49.05, 37.83), (49.89, 34.47), (114.02, 23.08), 31.64),
    (128, 25600, 160, 64, 1, 512, 1, (94.42, 71.49), (90.08, 66.04), (131.25, 26.56), 32.96),
]


@pytest.mark.parametrize("row", SEQUENCE, ids=lambda row: f"{row[1]} wide")
def test_one_rate_gives_the_seconds_with_and_without_recomputing(row) -> None:
    layers, width, _, stages, pieces, batch, rows, published, calculon, *_ = row
    model, devices = Decoder(layers, width), 8 * stages
    longer = 1 + bubble(stages, batch // rows, pieces)
    work = [model.step_flops(batch, recompute=again) * longer for again in (True, False)]
    for seconds, within in ((published, 0.02), (calculon, 0.05)):
        rate = math.sqrt(math.prod(work) / math.prod(seconds)) / devices
        cluster = Cluster(devices, rate)
        for flops, told in zip(work, seconds, strict=True):
            assert 86_400 * of_flops(flops, cluster).days == pytest.approx(told, rel=within)
        assert 0.4 < rate / 312e12 < 0.7


@pytest.mark.parametrize("row", SEQUENCE, ids=lambda row: f"{row[1]} wide")
def test_activations_and_state_shared_by_the_devices_of_a_layer(row) -> None:
    layers, width, heads, stages, pieces, batch, rows, _, _, (plain, few), state = row
    model = Decoder(layers, width)
    flying = live_chunks(stages, batch // rows, pieces) / (pieces * stages)
    kept = kept_bytes(model, rows, heads=heads, tensor=8, sequence=False)
    selective = kept_bytes(model, rows, tensor=8)
    assert flying * kept / 2**30 == pytest.approx(plain, abs=6e-3)
    assert flying * selective / 2**30 == pytest.approx(few, abs=6e-3)
    found = state_bytes(12 * layers * width**2, counted="deepspeed", shards=8 * stages)
    assert found / 2**30 == pytest.approx(state, abs=6e-3)


@pytest.mark.parametrize(("width", "gigabytes"), [(8192, 26), (12288, 17)])
def test_activations_leave_the_device_as_fast_as_they_are_made(width: int, gigabytes: int) -> None:
    # 34 b s h l bytes in a forward pass at 150 TFLOP/s; short rows, no vocabulary: 1.42 X / h.
    model = Decoder(48, width, vocabulary=0, length=16)
    seconds = model.step_flops(8, recompute=False) / 3 / 150e12
    assert kept_bytes(model, 8) / seconds / 1e9 == pytest.approx(gigabytes, abs=0.5)


def test_six_flops_a_parameter_leave_a_quarter_to_a_third_out() -> None:
    models = [(Decoder(int(row[2]), int(row[1])), int(row[4])) for row in TABLE_1]
    shares = [
        6 * model.params * batch * model.length / model.step_flops(batch) for model, batch in models
    ]
    assert shares == sorted(shares)
    assert (round(shares[0], 2), round(shares[-1], 2)) == (0.67, 0.74)


@pytest.mark.parametrize(
    ("layers", "width", "devices", "batch", "rate", "published", "printed"),
    [
        (96, 12288, 384, 1536, 153, 84, "84.7"),
        (96, 12288, 768, 1536, 149, 43, "43.5"),
        (96, 12288, 1536, 1536, 141, 23, "23.0"),
        (105, 20480, 560, 2240, 171, 156, "156.1"),
        (105, 20480, 1120, 2240, 167, 80, "79.9"),
        (105, 20480, 2240, 2240, 159, 42, "42.0"),
        (96, 12288, 384, 1536, 144, 90, "90.0"),
        (96, 12288, 768, 1536, 88, 74, "73.7"),
        (96, 12288, 1536, 1536, 44, 74, "73.7"),
        (105, 20480, 640, 2560, 138, 169, "169.2"),
        (105, 20480, 1120, 2240, 98, 137, "136.2"),
        (105, 20480, 2240, 2240, 48, 140, "139.0"),
    ],
)
def test_days_of_300_billion_tokens(
    layers: int, width: int, devices: int, batch: int, rate: float, published: float, printed: str
) -> None:
    cost = of_tokens(Decoder(layers, width), 300e9, batch, Cluster(devices, rate * 1e12))
    assert cost.days == pytest.approx(published, abs=1.0)
    assert f"{cost.days:.1f}" == printed


def test_the_headline_runs() -> None:
    gpt3, trillion = Decoder(96, 12288), Decoder(128, 25600)
    assert rule_of_eight(gpt3.params, 300e9, Cluster(1024, 140e12)) == pytest.approx(33.9, abs=0.3)
    days = rule_of_eight(trillion.params, 450e9, Cluster(3072, 163e12))
    assert days == pytest.approx(83.9, abs=0.4)
    assert gpt3.step_flops(1536, recompute=False) == pytest.approx(
        0.75 * gpt3.step_flops(1536), rel=0.03
    )


@pytest.mark.parametrize(
    ("layers", "width", "states", "kept", "operator", "inner", "heads"),
    [
        (80, 10240, 1.83, 0.05, 1.5625, 1.62, 128),
        (100, 20480, 9.16, 0.12, 6.25, 2.50, 160),
        (128, 25600, 18.31, 0.20, 9.77, 3.56, 256),
        (195, 65536, 182.81, 0.76, 64, 8.00, 512),
        (315, 163840, 1845.70, 3.08, 400, 18.00, 1024),
    ],
)
def test_zero_infinity_memory(
    layers: int,
    width: int,
    states: float,
    kept: float,
    operator: float,
    inner: float,
    heads: int,
) -> None:
    model = Decoder(layers, width, length=1024)
    size = 12 * layers * width**2
    tib = 2.0**40
    assert state_bytes(size, counted="zero-infinity") / tib == pytest.approx(states, abs=6e-3)
    assert checkpoint_bytes(model, 32) / tib == pytest.approx(kept, abs=6e-3)
    largest, working = working_bytes(model, heads, 4)
    assert largest / 2**30 == pytest.approx(operator, abs=6e-3)
    assert working / 2**30 == pytest.approx(inner, abs=6e-3)


@pytest.mark.parametrize(
    ("intensity", "bandwidth", "share"),
    [
        (1024, 70e9, 0.51),
        (2 * 1024 / 4, 1.5e12, 0.92),
        (24 * 2048, 2e9, 0.58),
        (24 * 8192, 1e9, 0.74),
    ],
)
def test_bandwidth_that_is_enough(intensity: float, bandwidth: float, share: float) -> None:
    assert efficiency(intensity, bandwidth) == pytest.approx(share, abs=6e-3)


def test_money_and_faults() -> None:
    cost = of_flops(1e21, Cluster(8, 4e14, price=2.0))
    assert cost.device_hours == pytest.approx(8 * 24 * cost.days)
    assert cost.price == pytest.approx(2 * cost.device_hours)
    assert state_bytes(1e9, shards=8) == 2e9
    with pytest.raises(ValueError, match="counted is 'sgd'"):
        state_bytes(1e9, counted="sgd")
    with pytest.raises(ValueError, match="devices is 0"):
        Cluster(0, 1e12)
    with pytest.raises(ValueError, match="achieved"):
        Cluster(1, float("nan"))
