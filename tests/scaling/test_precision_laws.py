"""Laws of few bits, in training and after it, against their papers' numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workbench.scaling import PrecisionLaw
from workbench.scaling.laws.precision import best_bits, constrained
from workbench.scaling.presets import PRESETS


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(("bits", "kept"), [(4, 0.191), (8, 0.828), (16, 0.994)])
def test_parameters_kept_at_few_bits(bits: float, kept: float) -> None:
    preset = PRESETS["kumar"]
    found = preset.law.kept(preset.params, dict.fromkeys(("w", "a", "kv"), jnp.asarray(1.0 * bits)))
    assert float(found) == pytest.approx(kept, abs=6e-4)


def test_the_best_bits_are_seven() -> None:
    law, params = PRESETS["kumar"].law, PRESETS["kumar"].params
    assert best_bits(params, law) == pytest.approx(7.0, abs=0.05)
    plain = PrecisionLaw(offsets=False)
    assert best_bits(params, plain) == pytest.approx(3.5, abs=0.1)
    other_sign = {name: -v if name.startswith("n_") else v for name, v in params.items()}
    assert best_bits(other_sign, law) < 2
    size, data = constrained(params, law, {"w": 8.0, "a": 8.0, "kv": 8.0})
    assert size * data * 8 / 16 == pytest.approx(1.0, rel=1e-12)
    tied = {f"gamma_{part}": 1.0 for part in ("w", "a", "kv")}
    assert best_bits(tied, plain, most=8) == pytest.approx(1.9038, abs=0.01)


def test_quantising_after_training_loses_more_the_longer_it_was_trained() -> None:
    preset = PRESETS["kumar-ptq"]
    runs = {"n_params": [220e6, 220e6, 220e6, 440e6], "n_tokens": [26e9, 52e9, 26e9, 26e9],
            "bits_post": [4.0, 4.0, 3.0, 4.0]}  # fmt: skip
    columns = {name: jnp.asarray(column) for name, column in runs.items()}
    here, longer, fewer, larger = map(float, preset.law.predict(preset.params, columns))
    by_hand = 0.0598 * 26e9**0.5068 / 220e6**0.3439 * np.exp(-4 / 0.5907)
    assert here == pytest.approx(by_hand, rel=1e-12)
    assert longer / here == pytest.approx(2**0.5068) and larger / here == pytest.approx(2**-0.3439)
    assert fewer / here == pytest.approx(np.exp(1 / 0.5907))
    assert preset.mark and "1.1277" in preset.remark


@pytest.mark.parametrize(
    ("tokens", "share"),
    [(10, 0.054), (30, 0.138), (100, 0.232), (300, 0.307), (1000, 0.378), (5000, 0.454)],
)
def test_the_share_of_quantised_training(tokens: float, share: float) -> None:
    preset = PRESETS["qat-fraction"]
    found = preset.law.predict(preset.params, {"tokens_per_byte": jnp.asarray([1.0 * tokens])})
    assert float(found[0]) == pytest.approx(share, abs=6e-4)
