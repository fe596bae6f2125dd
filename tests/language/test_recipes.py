"""Recipes: the published numbers at the published width."""

import numpy as np

from tests.language.texts import config
from workbench.language.recipes import HIGHEST, recipe_for, source
from workbench.training import learning_rate


def test_dense_families_train_as_gla_was():
    recipe = recipe_for(config(hidden_size=1024), steps=1000)
    rates = [float(learning_rate(recipe)(step)) for step in (49, 50, 999)]
    np.testing.assert_allclose(rates[:2], 3e-4, rtol=1e-4)
    np.testing.assert_allclose(rates[2], 3e-5, rtol=1e-2)
    assert recipe.weight_decay == 0.01 and recipe.betas == (0.9, 0.95)
    assert "Yang et al. 2023" in source(config())


def test_ternary_families_have_two_stages_with_a_high_rate():
    ternary = config(hidden_size=1024, linears="ternary", tie_word_embeddings=False)
    recipe = recipe_for(ternary, steps=1000, batch_size=8)
    rates = [float(learning_rate(recipe)(step)) for step in (50, 499, 500, 999)]
    np.testing.assert_allclose(rates, [1.5e-3, 8e-4, 5e-4, 1e-6], rtol=4e-3)
    assert (recipe.weight_decay, recipe.second_weight_decay) == (0.1, 0.0)
    assert recipe.batch_size == 8 and "BitNet" in source(ternary)


def test_narrow_models_take_higher_rates_up_to_a_limit():
    assert recipe_for(config(hidden_size=256), steps=100).learning_rate == 4 * 3e-4
    assert recipe_for(config(hidden_size=16), steps=100).learning_rate == HIGHEST
    assert recipe_for(config(), steps=10, learning_rate=0.5, seed=3).learning_rate == 0.5
