"""Gated DeltaNet's whole layer beside the one that transformers has in OLMo Hybrid."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.peers import peer

torch = peer("torch")

from transformers import OlmoHybridConfig  # noqa: E402
from transformers.models.olmo_hybrid.modeling_olmo_hybrid import (  # noqa: E402
    OlmoHybridGatedDeltaNet,
)

from workbench.language.linear import Linear  # noqa: E402
from workbench.language.mixers.gated_delta_net import GatedDeltaNetConfig  # noqa: E402
from workbench.model_files import keys  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

X = np.random.default_rng(0).standard_normal((2, 70, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    config = OlmoHybridConfig(
        hidden_size=24, num_attention_heads=2, num_hidden_layers=2, linear_num_key_heads=2,
        linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=16,
        layer_types=["linear_attention", "full_attention"],
    )  # fmt: skip
    return OlmoHybridGatedDeltaNet(config, 0)


@pytest.fixture(scope="module")
def ours(theirs):
    """The same weights; their one convolution is three of ours."""
    tensors = {name: one.detach().numpy() for name, one in theirs.named_parameters()}
    whole = tensors.pop("conv1d.weight")
    for name, part in zip("qkv", np.split(whole, (16, 32)), strict=True):
        tensors[f"{name}_conv1d.weight"] = part
    config = GatedDeltaNetConfig(num_heads=2, head_dim=8, allow_neg_eigval=True)
    made = config.build(24, 0, linear=Linear, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(params=0))
    state = nnx.state(made, nnx.Param)
    paths = dict(nnx.to_flat_state(state))
    assert {keys.key(path) for path in paths} == set(tensors)
    for path, variable in paths.items():
        variable[...] = jnp.asarray(keys.from_file(path, tensors[keys.key(path)]))
    nnx.update(made, state)
    return made


def test_the_layer_says_the_same(ours, theirs):
    with torch.no_grad():
        wanted = theirs(torch.tensor(X)).numpy()
    found, _ = nnx.jit(lambda layer, x: layer(x))(ours, jnp.asarray(X))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(wanted).max() > 0.01


def test_the_weights_get_the_same_gradients(ours, theirs):
    theirs.zero_grad()
    theirs(torch.tensor(X)).square().sum().backward()
    wanted = {name: one.grad.numpy() for name, one in theirs.named_parameters()}

    @nnx.jit
    def gradients(layer, x):
        return nnx.grad(lambda layer: jnp.sum(jnp.square(layer(x)[0])))(layer)

    for path, variable in nnx.to_flat_state(gradients(ours, jnp.asarray(X))):
        name = keys.key(path)
        if "conv1d" in name:
            place = {"q": slice(0, 16), "k": slice(16, 32), "v": slice(32, 64)}[name[0]]
            other = wanted["conv1d.weight"][place]
        else:
            other = wanted[name]
        mine = np.asarray(variable[...])
        mine = mine.transpose(keys.file_axes(path, mine.ndim))
        np.testing.assert_allclose(mine, other, atol=1e-4 * np.abs(other).max(), err_msg=name)
