"""Laws against their papers' numbers, and against themselves: what they predict, they fit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from tests.scaling.surfaces import TRUTH, runs
from workbench.scaling import (
    Across,
    BoundedPower,
    Broken,
    Chinchilla,
    DataConstrained,
    DownstreamAccuracy,
    DownstreamError,
    Fit,
    Kaplan,
    KaplanLimit,
    KaplanSteps,
    LossCompute,
    OverTraining,
    PostTraining,
    PowerLaw,
    PrecisionLaw,
    QATFraction,
    QATLoss,
    fit,
)
from workbench.scaling.decisions import losses
from workbench.scaling.laws.data_constrained import best_size
from workbench.scaling.laws.kaplan import critical_batch, least_compute, least_steps
from workbench.scaling.laws.law import Law
from workbench.scaling.laws.logarithm import log
from workbench.scaling.presets import BESIROGLU, EXPONENTS, HOFFMANN, PF_DAY, PRESETS, UNROUNDED
from workbench.scaling.settings import Settings

BUDGET = 5.88e23


def loss_of(law, params: dict[str, float], size: float, tokens: float) -> float:
    """The law's loss of one run."""
    return float(losses(law, params, np.asarray([size]), np.asarray([tokens]))[0])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("params", "size", "tokens", "ratio", "loss"),
    [(BESIROGLU, 7.30e10, 1.34e12, 18.4, 1.974), (HOFFMANN, 3.25e10, 3.02e12, 92.8, 1.930)],
)
def test_allocations_of_published_digits(
    params: dict[str, float], size: float, tokens: float, ratio: float, loss: float
) -> None:
    n, d = Chinchilla().optimum(params, jnp.asarray(BUDGET / 6))
    assert float(n) == pytest.approx(size, rel=5e-3)
    assert float(d) == pytest.approx(tokens, rel=5e-3)
    assert float(d / n) == pytest.approx(ratio, rel=5e-3)
    assert loss_of(Chinchilla(), params, float(n), float(d)) == pytest.approx(loss, abs=1e-3)


def test_rounding_moves_the_tokens_a_parameter_by_half() -> None:
    ratios = []
    for params in (UNROUNDED, HOFFMANN):
        n, d = Chinchilla().optimum(params, jnp.asarray(BUDGET / 6))
        ratios.append(float(d / n))
    assert ratios == pytest.approx([59.0, 92.8], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_derivatives_written_out_are_those_of_every_law(tied: bool) -> None:
    law, table = Chinchilla(tied=tied), runs(rows=12, noise=0.02)
    columns = {name: jnp.asarray(table[name].to_numpy(float)) for name in table.columns}
    draw = np.random.default_rng(0)
    boxes = np.asarray([parameter.box for parameter in law.parameters])
    points = [draw.uniform(boxes[:, 0], boxes[:, 1]) for _ in range(3)]
    # At both ends of the range nothing over- or underflows.
    points += [np.asarray([one.range[side] for one in law.parameters]) for side in (0, 1)]
    for point in map(jnp.asarray, points):
        for found, wanted in zip(
            law.linear(point, columns), Law.linear(law, point, columns), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_the_logarithm_in_plain_arithmetic() -> None:
    draw = np.random.default_rng(0)
    values = np.exp(np.concatenate([draw.uniform(-600, 600, 2000), draw.normal(0, 1e-3, 2000)]))
    found = np.asarray(log(jnp.asarray(values)))
    np.testing.assert_allclose(found, np.log(values), rtol=1e-15, atol=3e-16)
    beyond = np.asarray(log(jnp.asarray([np.inf, np.nan, 1.0])))
    assert beyond[0] == np.inf and np.isnan(beyond[1]) and beyond[2] == 0.0


def test_published_exponents_of_the_allocation() -> None:
    base = PRESETS["muennighoff"].law
    assert isinstance(base, DataConstrained) and base.base is not None
    for params, a in ((HOFFMANN, 0.452), (BESIROGLU, 0.513), (dict(base.base), 0.5)):
        (near, far), _ = Chinchilla().optimum(params, jnp.asarray([1e20, 1e22]))
        assert float(jnp.log10(far / near)) / 2 == pytest.approx(a, abs=5e-4)
    assert [round(UNROUNDED[name], 4) for name in ("E", "alpha", "beta")] == [
        1.6934, 0.3392, 0.2849,
    ]  # fmt: skip


@pytest.mark.parametrize("params", [BESIROGLU, HOFFMANN])
def test_at_the_optimum_both_terms_fall_alike(params: dict[str, float]) -> None:
    n, d = Chinchilla().optimum(params, jnp.asarray(BUDGET / 6))
    size = params["alpha"] * params["A"] * n ** -params["alpha"]
    data = params["beta"] * params["B"] * d ** -params["beta"]
    assert float(size) == pytest.approx(float(data), rel=1e-10)
    assert float(n * d) == pytest.approx(BUDGET / 6, rel=1e-12)


@pytest.mark.parametrize(
    ("law", "params"),
    [
        (Kaplan(), dict(PRESETS["kaplan"].params)),
        (OverTraining(), {"E": 1.8, "x": 140.0, "y": 300.0, "eta": 0.3}),
    ],
)
def test_no_other_division_is_better(law, params: dict[str, float]) -> None:
    n, d = (float(one) for one in law.optimum(params, jnp.asarray(BUDGET / 6)))
    best = loss_of(law, params, n, d)
    for factor in (0.7, 0.97, 1.03, 1.4):
        assert loss_of(law, params, n * factor, d / factor) > best


def test_at_the_critical_batch_steps_and_compute_are_twice_their_least() -> None:
    batch = critical_batch(3.0)
    assert batch == pytest.approx(2.1e8 / 3.0 ** (1 / 0.21)) and critical_batch(1.0) == 2.1e8
    assert least_steps(1e5, batch, batch) == 5e4 and least_compute(1e20, batch, batch) == 5e19
    assert least_steps(1e5, 1e3 * batch, batch) == pytest.approx(1e5, rel=2e-3)
    assert least_compute(1e20, batch / 1e3, batch) == pytest.approx(1e20, rel=2e-3)
    preset = PRESETS["kaplan-steps"]
    (loss,) = preset.law.predict(
        preset.params, {"n_params": jnp.asarray([6.5e13]), "least_steps": jnp.asarray([2.1e3])}
    )
    assert float(loss) == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(
    ("key", "scale", "exponent"),
    [
        ("kaplan-size", 8.8e13, 0.076),
        ("kaplan-data", 5.4e13, 0.095),
        ("kaplan-compute", 3.1e8 * 8.64e19, 0.050),
    ],
)
def test_of_one_limit_the_loss_is_1_at_its_scale(key: str, scale: float, exponent: float) -> None:
    preset = PRESETS[key]
    (column,) = preset.law.columns
    at = {column: jnp.asarray([scale, scale / 2, scale / 1e10])}
    found = preset.law.predict(preset.params, at)
    np.testing.assert_allclose(found, [1, 2**exponent, 10 ** (10 * exponent)], rtol=1e-12)
    assert not preset.confirmed


def test_what_kaplan_says_of_size_and_compute() -> None:
    # A model twice as large keeps 0.95 of its loss; a day of a petaFLOP/s reaches 2.66 nats.
    size, compute = PRESETS["kaplan-size"], PRESETS["kaplan-compute"]
    one, two = size.law.predict(size.params, {"n_params": jnp.asarray([1e9, 2e9])})
    assert float(two / one) == pytest.approx(0.95, abs=5e-3)
    (loss,) = compute.law.predict(compute.params, {"least_flops": jnp.asarray([PF_DAY])})
    assert float(loss) == pytest.approx(2.66, abs=5e-3)
    assert PF_DAY == 8.64e19
    assert EXPONENTS["kaplan"].a == 0.73 and EXPONENTS["kaplan"].mark
    with pytest.raises(ValueError, match="over is 'flops'"):
        KaplanLimit("flops")


def test_repeated_data_gives_the_published_losses() -> None:
    preset = PRESETS["muennighoff"]
    table = {
        "n_params": jnp.asarray([6.34e9, 8.67e9]),
        "n_tokens": jnp.asarray([242e9, 178e9]),
        "unique_tokens": jnp.asarray([25e9, 25e9]),
    }
    losses = preset.law.predict(preset.params, table)
    np.testing.assert_allclose(losses, [2.2256440889984477, 2.2269634075087867], rtol=1e-7)


@pytest.mark.parametrize(("epochs", "worth"), [(4, 3.73), (16, 10.58), (40, 15.17)])
def test_epochs_are_worth_less_and_less(epochs: float, worth: float) -> None:
    preset = PRESETS["muennighoff"]
    unique = 1e9
    table = {
        "n_params": jnp.asarray([1e7]),
        "n_tokens": jnp.asarray([epochs * unique]),
        "unique_tokens": jnp.asarray([unique]),
    }
    _, tokens = preset.law.effective(preset.params, table)
    assert float(tokens[0]) / unique == pytest.approx(worth, abs=6e-3)


def divided(unique: float) -> dict[str, float]:
    """The division of 1e22 FLOP by the published law when so many tokens are unique."""
    preset = PRESETS["muennighoff"]
    given = {"unique_tokens": unique}
    known = Fit(preset.law, Settings(), dict(preset.params), 0.0, pd.DataFrame(), given=given)
    return known.allocation(1e22).iloc[0].to_dict()


def test_few_unique_tokens_want_a_smaller_model() -> None:
    law = PRESETS["muennighoff"].law
    assert isinstance(law, DataConstrained) and law.base is not None
    base = dict(law.base)
    size, _ = Chinchilla().optimum(base, jnp.asarray(1e22 / 6))
    plenty, few = divided(1e15), divided(1e10)
    assert plenty["n_params"] == pytest.approx(float(size), rel=1e-6)
    assert few["n_params"] < plenty["n_params"] and few["n_tokens"] > 1e10
    assert few["loss"] > plenty["loss"]
    assert float(best_size(base, jnp.asarray(1e12))) > 0
    sizes = few["n_params"] * np.geomspace(0.3, 3, 4001)
    table = {"n_params": sizes, "n_tokens": 1e22 / 6 / sizes, "unique_tokens": np.full(4001, 1e10)}
    runs = {name: jnp.asarray(column) for name, column in table.items()}
    least = int(np.argmin(law.predict(PRESETS["muennighoff"].params, runs)))
    assert sizes[least] == pytest.approx(few["n_params"], rel=2e-3)
    with pytest.raises(TypeError, match="only where unique_tokens is given"):
        law.optimum(PRESETS["muennighoff"].params, jnp.asarray(1e21))


@pytest.mark.slow
def test_the_optimum_of_repeated_data_has_a_derivative() -> None:
    preset = PRESETS["muennighoff"]

    def log_tokens(worth: float) -> Any:
        values = {**preset.params, "R_D*": worth, "unique_tokens": jnp.asarray(1e10)}
        return jnp.log(preset.law.optimum(values, jnp.asarray(1e22 / 6))[1])

    found = float(jax.grad(log_tokens)(15.0))
    step = (float(log_tokens(15.01)) - float(log_tokens(14.99))) / 0.02
    assert found == pytest.approx(step, rel=1e-3) and found > 0


def table_of(law, params: dict[str, float], **columns: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    given = {name: jnp.asarray(table[name].to_numpy(float)) for name in law.columns}
    return table.assign(**{law.target: np.asarray(law.predict(params, given))})


def grid(*axes: np.ndarray) -> list[np.ndarray]:
    return [one.ravel() for one in np.meshgrid(*axes, indexing="ij")]


N, D = grid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
X = np.geomspace(1.0, 1e6, 40)
BITS = np.asarray([3, 4, 6, 8, 16.0])
PN, PD, PB = grid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 3e10, 4), BITS)
UN, UD, UU = grid(*(np.geomspace(low, 100 * low, 5) for low in (1e8, 1e10, 1e9)))
QN, QF, QQ, QB = grid(*(np.geomspace(low, 100 * low, 4) for low in (2e7, 2e9, 1e9)), BITS)
LOSSES = np.linspace(1.2, 4, 30)
COMPUTE = np.geomspace(1e17, 1e23, 14)
BASE = tuple(TRUTH.items())

CASES = [
    (
        Kaplan(),
        {"Nc": 6.4e13, "alpha_N": 0.076, "Dc": 1.8e13, "alpha_D": 0.103},
        {"n_params": N, "n_tokens": D},
    ),
    (KaplanLimit(), {"Nc": 8.8e13, "alpha_N": 0.076}, {"n_params": np.geomspace(1e6, 1e10, 12)}),
    (
        KaplanSteps(),
        {"Nc": 6.5e13, "alpha_N": 0.077, "Sc": 2.1e3, "alpha_S": 0.76},
        {"n_params": N, "least_steps": D / 1e6},
    ),
    (
        OverTraining(),
        {"E": 1.8, "x": 140.0, "y": 300.0, "eta": 0.3},
        {"n_params": N, "n_tokens": D},
    ),
    (DownstreamError(), {"epsilon": 0.9, "k": 1.5, "gamma": 0.7}, {"loss": LOSSES}),
    (DownstreamAccuracy(), {"a": 0.7, "k": 4.0, "L0": 2.4, "b": 0.25}, {"loss": LOSSES}),
    (
        DataConstrained(BASE),
        {"R_D*": 15.4, "R_N*": 5.3},
        {"n_params": UN, "n_tokens": UD, "unique_tokens": UU},
    ),
    (
        Broken(1, "x", "y"),
        {"a": 0.2, "b": 3.0, "c0": 0.2, "c1": 0.3, "d1": 1e3, "f1": 0.3},
        {"x": X},
    ),
    (
        PrecisionLaw(parts=("w",)),
        {"E": 2.76, "A": 4299.0, "alpha": 0.4965, "B": 1.806e4, "gamma_w": 2.67, "n_w": 0.3},
        {"n_params": PN, "n_tokens": PD, "bits_w": PB},
    ),
    (
        PostTraining(),
        {"C_T": 0.0598, "gamma_D": 0.5068, "gamma_N": 0.3439, "gamma": 0.5907},
        {"n_params": PN, "n_tokens": PD, "bits_post": PB},
    ),
    (QATFraction(), {"a": 6.7297}, {"tokens_per_byte": np.geomspace(5, 5000, 12)}),
    (LossCompute(), {"E": 1.7, "A": 300.0, "alpha": 0.12}, {"flops": COMPUTE}),
    (LossCompute(floor=False), {"A": 80.0, "alpha": 0.07}, {"flops": COMPUTE}),
    (PowerLaw("x", "y"), {"c": 0.47, "p": 0.02}, {"x": X}),
    (BoundedPower("x", "y"), {"c": 0.9, "p": 0.11}, {"x": X}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("law", "params", "columns"), CASES, ids=lambda v: getattr(v, "key", ""))
def test_a_law_fits_what_it_predicts(law, params: dict[str, float], columns: dict) -> None:
    found = fit(law, table_of(law, params, **columns), objective="squared", starts=256)
    assert found.objective < 1e-12
    for name, value in params.items():
        assert found.params[name] == pytest.approx(value, rel=1e-4), name


OF_QAT = {
    "theta": 0.3, "kappa": 0.9, "phi": 4.0, "chi": 0.6, "psi": 0.1, "omega": 0.2,
    "lambda": 2.0, "mu": 0.3, "nu": 0.15, "xi": -0.1, "rho": 0.3,
}  # fmt: skip


@pytest.mark.slow
def test_a_law_of_many_terms_fits_what_it_predicts() -> None:
    params = OF_QAT
    law = QATLoss(BASE)
    table = table_of(law, params, n_params=QN, fp_tokens=QF, qat_tokens=QQ, bits=QB)
    found = fit(law, table, objective="squared", starts=128)
    # Its terms stand in for one another: the losses come back, the constants need not.
    assert np.sqrt(2 * found.objective / len(table)) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("xi", [-0.4, 0.4])
def test_the_sign_of_xi_comes_from_the_runs(xi: float) -> None:
    law = QATLoss(BASE)
    table = table_of(law, OF_QAT | {"xi": xi}, n_params=QN, fp_tokens=QF, qat_tokens=QQ, bits=QB)
    noise = np.random.default_rng(0).standard_normal(len(table))
    for given in (table, table.assign(loss=table["loss"] * np.exp(1e-4 * noise))):
        found = fit(law, given, objective="squared", starts=128)
        assert found.params["xi"] == pytest.approx(xi, abs=0.1)


@pytest.mark.slow
def test_methods_share_exponents() -> None:
    slower = TRUTH | {"A": 2 * TRUTH["A"]}
    table = pd.concat([runs().assign(method="dense"), runs(slower).assign(method="ternary")])
    law = Across(("dense", "ternary"))
    found = fit(law, table.reset_index(drop=True))
    assert found.params["A[ternary]"] / found.params["A[dense]"] == pytest.approx(2, rel=1e-5)
    assert found.params["alpha"] == pytest.approx(TRUTH["alpha"], rel=1e-6)
    own = law.of("ternary", found.params)
    assert own["B"] == pytest.approx(TRUTH["B"], rel=1e-5) and own["E"] == found.params["E"]
    with pytest.raises(ValueError, match="moe"):
        fit(law, table.assign(method="moe").reset_index(drop=True))
    with pytest.raises(ValueError, match="gamma"):
        Across(("dense",), shared=("gamma",))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_presets_name_the_laws_parameters(preset) -> None:
    assert set(preset.law.names) == set(preset.params)
    values = preset.law.values(preset.law.coordinates(preset.params))
    for name, value in preset.params.items():
        assert float(values[name]) == pytest.approx(value, rel=1e-12)
